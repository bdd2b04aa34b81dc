"""Of one name, one daemon on a database, wherever its runtime files are or have been."""

import os
import shutil
import signal
import subprocess
import sys

import pytest
from support.waiting import wait_until

from gigq.store.sqlite.processes import run_locks
from gigqd import exit_codes
from gigqd.errors import GigqdError
from gigqd.host import database_lock

pytestmark = pytest.mark.daemon


@pytest.fixture
def twins(launched):
    """Makes two daemons that are not started, with settings of their own on one database."""

    def make(first, second):
        one = launched(first)
        other = launched({"queue.database": str(one.database), **second})
        return one, other

    return make


@pytest.mark.fault("A6")
def test_a_second_daemon_of_the_same_name_is_refused_and_the_first_unaffected(twins):
    first, second = twins({"daemon.name": "mail"}, {"daemon.name": "mail"})
    started = first.command("start", "--json")
    assert started.returncode == 0, started

    refused = second.command("start")
    in_the_foreground = second.command("run")
    status = first.command("status", "--json")
    first.command("stop")

    assert refused.returncode == in_the_foreground.returncode == exit_codes.ALREADY_RUNNING
    words = f'another gigqd named "mail" (pid {first_pid(started)}) already serves {first.database}'
    assert words in refused.stderr
    assert "give this one another daemon.name" in refused.stderr
    assert '"start_failed"' in in_the_foreground.stderr
    assert '"state": "running"' in status.stdout


def first_pid(started):
    return started.stdout.partition('"pid": ')[2].partition(",")[0]


def test_deleting_the_lock_file_too_lets_nobody_in_for_long(daemons):
    daemon = daemons()
    shutil.rmtree(f"{daemon.database}.gigq")
    shutil.rmtree(daemon.runtime_files.directory)
    wait_until(daemon.runtime_files.socket_path.exists)

    start = daemon.command("start", "--strict")

    assert start.returncode == exit_codes.ALREADY_RUNNING
    with pytest.raises(database_lock.DatabaseLocked, match=f"pid {daemon.pid}"):
        database_lock.take(daemon.database, "default")


@pytest.mark.fault("A6")
def test_daemons_of_different_names_share_a_database(twins):
    first, second = twins({"daemon.name": "mail"}, {"daemon.name": "web"})

    codes = [daemon.command("start").returncode for daemon in (first, second)]
    stopped = [daemon.command("stop").returncode for daemon in (first, second)]

    assert (codes, stopped) == ([0, 0], [0, 0])


def test_deleting_the_runtime_directory_does_not_let_a_second_daemon_start(daemons):
    daemon = daemons()
    pid = daemon.pid
    shutil.rmtree(daemon.runtime_files.directory)

    # More than once in the five seconds before the files are put back.
    starts = [daemon.command("start") for _ in range(3)]
    wait_until(daemon.runtime_files.socket_path.exists)

    codes = {start.returncode for start in starts}
    assert codes <= {exit_codes.OK, exit_codes.ALREADY_RUNNING}
    assert exit_codes.ALREADY_RUNNING in codes, starts
    assert all(f"pid {pid}" in start.stdout + start.stderr for start in starts)
    wait_until(lambda: daemon.status()["pid"] == pid, why="the first daemon answers again")


def test_a_daemon_that_was_killed_leaves_no_database_lock(daemons):
    daemon = daemons()
    daemon.kill()

    daemon.start()

    assert daemon.status()["state"] == "running"


HOLDER = """
import os, signal, sys
from pathlib import Path
from gigq.store.sqlite.processes import run_locks as liveness
from gigqd.host import database_lock
database_lock.take(Path(sys.argv[1]), sys.argv[2])
run = liveness.RunLock(sys.argv[1], "gigqd").run
other = liveness.RunLock(sys.argv[1], "gigqd")
other.release()
liveness.is_alive(sys.argv[1], "gigqd:12345")
if os.fork() == 0:
    os.closerange(3, 64)
    os._exit(0)
os.wait()
print(run, flush=True)
signal.pause()
"""


@pytest.fixture
def holder(tmp_path):
    database = tmp_path / "jobs.db"
    command = [sys.executable, "-c", HOLDER, str(database), "mail"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        process.run = process.stdout.readline().strip()
        process.database = database
        yield process
        process.kill()


def test_neither_runs_nor_forks_open_the_database_lock(holder):
    with pytest.raises(
        database_lock.DatabaseLocked, match=rf'named "mail" \(pid {holder.pid}\)'
    ) as refused:
        database_lock.take(holder.database, "mail")

    assert refused.value.exit_code == exit_codes.ALREADY_RUNNING
    assert run_locks.is_alive(holder.database, holder.run)


def test_the_fence_falls_with_its_holder(holder):
    holder.send_signal(signal.SIGKILL)
    holder.wait()

    database_lock.take(holder.database, "mail")

    assert database_lock.holder(holder.database, "mail") is None, "one never meets one's own lock"
    in_a_child = subprocess.run(
        [sys.executable, "-c", HOLDER, str(holder.database), "mail"], capture_output=True, text=True
    )
    assert f"(pid {os.getpid()})" in in_a_child.stderr


def test_a_folder_that_is_missing_is_a_database_that_cannot_be_used(tmp_path):
    with pytest.raises(GigqdError, match="cannot write beside the database") as refused:
        database_lock.take(tmp_path / "none" / "jobs.db", "mail")

    assert refused.value.exit_code == exit_codes.DATABASE_UNAVAILABLE
