"""A daemon or a worker that stops in good order leaves one file that is complete."""

from __future__ import annotations

import json
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest
from support import jobs
from support.store_faults import wait_until_degraded
from support.waiting import wait_until

from gigq.store.sqlite.connections import close_connections
from gigqd import exit_codes

pytestmark = pytest.mark.daemon

READER = """
import sqlite3, sys
reader = sqlite3.connect(sys.argv[1])
reader.execute("BEGIN")
reader.execute("SELECT count(*) FROM jobs").fetchone()
print("reading", flush=True)
sys.stdin.readline()
reader.close()
"""


def counts(daemon):
    """What a plain copy of the one file holds, by status."""
    copy = daemon.home / "copy.db"
    shutil.copy(daemon.database, copy)
    with closing(sqlite3.connect(copy)) as reader:
        return dict(reader.execute("SELECT status, count(*) FROM jobs GROUP BY status"))


def beside(daemon):
    return sorted(each.name for each in daemon.home.glob("jobs.db*") if each.is_file())


@pytest.mark.fault("G14")
def test_a_daemon_that_is_stopped_leaves_one_file_that_can_be_copied(daemons):
    daemon = daemons()
    daemon.wait_for_job(daemon.submit(jobs.ok, "done"))
    close_connections()

    daemon.stop()

    assert beside(daemon) == ["jobs.db"]
    assert counts(daemon) == {"completed": 1}


@pytest.mark.fault("G14")
def test_a_daemon_whose_job_is_cut_short_leaves_one_file_as_well(daemons):
    daemon = daemons()
    daemon.submit(jobs.wait_for_file, "cut", {"path": str(daemon.home / "never")})
    daemon.wait_for_calls("cut")
    close_connections()

    daemon.stop(now=True)

    assert beside(daemon) == ["jobs.db"]
    assert counts(daemon) == {"pending": 1}


@pytest.mark.fault("G10", "G14")
def test_a_log_that_was_deleted_is_in_the_file_after_a_stop(daemons):
    daemon = daemons()
    for number in range(20):
        daemon.submit(jobs.ok, f"job {number}")
    wait_until(lambda: daemon.queue.stats()["completed"] == 20)
    close_connections()
    Path(f"{daemon.database}-wal").unlink()
    wait_until_degraded(daemon, "jobs.db-wal was deleted")

    daemon.stop()

    assert beside(daemon) == ["jobs.db"]
    assert counts(daemon) == {"completed": 20}


@pytest.mark.fault("G14")
def test_a_reader_that_stays_is_not_waited_for_and_completes_the_file_at_its_own_end(daemons):
    daemon = daemons()
    daemon.wait_for_job(daemon.submit(jobs.ok, "before"))
    reader = subprocess.Popen(
        [sys.executable, "-c", READER, str(daemon.database)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    with reader:
        assert reader.stdout.readline() == "reading\n"
        daemon.wait_for_job(daemon.submit(jobs.ok, "after"))
        close_connections()
        daemon.stop()
        log = Path(f"{daemon.database}-wal")
        assert log.stat().st_size
        reader.communicate("\n")

    assert beside(daemon) == ["jobs.db"]
    assert counts(daemon) == {"completed": 2}


@pytest.mark.fault("G14")
def test_a_worker_of_the_command_line_leaves_one_file(daemons):
    daemon = daemons(start=False)
    daemon.breaks("P4", "the calls of a plain worker bear another name")
    for number in range(5):
        daemon.submit(jobs.ok, f"job {number}")
    worker = subprocess.Popen(
        [sys.executable, "-m", "gigq", "--db", daemon.database, "worker", "--concurrency", "3"],
        env={**daemon.environment, "PYTHONPATH": str(Path(jobs.__file__).parent.parent)},
        stdout=subprocess.DEVNULL,
    )
    wait_until(lambda: daemon.queue.stats()["completed"] == 5)
    close_connections()

    os.kill(worker.pid, signal.SIGTERM)

    assert worker.wait(20) == 0
    assert beside(daemon) == ["jobs.db"]
    assert counts(daemon) == {"completed": 5}


@pytest.mark.fault("G14")
@pytest.mark.parametrize("command", ["start", "run"])
def test_a_start_that_fails_says_so_in_the_log_and_leaves_one_file(daemons, tmp_path, command):
    (tmp_path / "broken.py").write_text("raise RuntimeError('no such shop')\n")
    settings = {"code.python_path": [str(tmp_path)], "code.imports": ["broken"]}
    daemon = daemons(settings | {"log.file": str(tmp_path / "log")}, start=False)
    daemon.submit(jobs.ok, "waits")
    close_connections()

    done = daemon.command(command)

    assert done.returncode == exit_codes.CANNOT_IMPORT
    last = json.loads((tmp_path / "log").read_text().splitlines()[-1])
    assert (last["event"], last["exit_code"]) == ("start_failed", exit_codes.CANNOT_IMPORT)
    assert beside(daemon) == ["jobs.db"]
    assert counts(daemon) == {"pending": 1}
