"""`gigqd status`: soon, in every state, and with what an operator asks in the morning."""

import json
import signal
import sqlite3
import subprocess
import sys
from contextlib import closing

import pytest
from support import jobs
from support.waiting import wait_until

from gigqd import exit_codes

pytestmark = pytest.mark.daemon

SOON = 1.0
"""Seconds: what is promised for an answer."""


@pytest.mark.fault("B9")
def test_a_stopped_supervisor_is_reported(daemons):
    daemon = daemons()
    daemon.signal(signal.SIGSTOP)

    done = daemon.command("status", "--json")
    daemon.signal(signal.SIGCONT)

    assert done.returncode == exit_codes.STATUS_UNKNOWN
    answer = json.loads(done.stdout)
    assert (answer["state"], answer["pid"]) == ("not answering", daemon.pid)


@pytest.mark.fault("G1")
def test_with_many_slots_and_a_locked_database_every_answer_comes_soon(daemons):
    daemon = daemons({"pools.default.size": 64})
    wait_until(lambda: len(daemon.slots("idle")) == 64, 30)

    with closing(sqlite3.connect(daemon.database, isolation_level=None)) as blocker:
        blocker.execute("BEGIN EXCLUSIVE")
        wait_until(lambda: daemon.client.ask("status", within=SOON)["state"] == "degraded")
        answers = [daemon.client.ask("status", within=SOON) for _ in range(20)]
        shown = daemon.command("status")
        blocker.execute("ROLLBACK")

    assert {len(answer["slots"]) for answer in answers} == {65}
    assert all("locked" in answer["reason"] and answer["degraded_since"] for answer in answers)
    assert shown.stdout.startswith("gigqd is degraded: ")
    assert "(since 20" in shown.stdout.splitlines()[0]
    wait_until(lambda: daemon.status()["state"] == "running")
    assert daemon.status()["degraded_since"] is None


def test_a_failure_is_reported_with_all_that_is_known_of_it(daemons):
    daemon = daemons({"pools.default.timeout_grace": 0, "pools.default.size": 1})
    job_id = daemon.submit(jobs.sleep_c, "\x1b[2Jlate\n", timeout=1, max_attempts=1)
    daemon.wait_for_job(job_id, "timeout")
    (end,) = wait_until(lambda: [e for e in daemon.status()["recent_failures"] if e["status"]])

    text = daemon.command("status").stdout

    assert (end["cause"], end["signal"], end["exit_code"]) == ("timeout", "SIGKILL", None)
    assert (end["job_id"], end["job"], end["attempt"]) == (job_id, "\x1b[2Jlate\n", 1)
    assert (end["slot"], end["status"]) == ("default/0", "timeout")
    assert end["wall_time"] >= 1
    assert end["killed"] >= 1
    assert "recent failures (1 of 1" in text
    assert "timeout  SIGKILL, 1 killed" in text
    assert "\\x1b[2Jlate\\n (attempt 1)" in text
    assert text.replace("\n", "").isprintable()


def test_the_memory_of_a_running_jobs_tree_is_shown(daemons):
    daemon = daemons({"pools.default.memory_limit": "1GiB", "pools.default.size": 1})
    daemon.submit(jobs.wait_for_file, "busy", {"path": str(daemon.home / "go")})
    daemon.wait_for_calls("busy")

    (slot,) = wait_until(lambda: [s for s in daemon.slots("busy") if s["memory"]])
    text = daemon.command("status").stdout
    (daemon.home / "go").touch()

    assert slot["memory_limit"] == 1024**3
    assert slot["memory"] > 1024**2
    assert "MiB/1 GiB" in text


@pytest.mark.parametrize("command", [("status",), ("status", "--json"), ("check",), ("stop",)])
def test_an_answer_that_cannot_be_written_is_said_plainly(daemons, command):
    stopped = daemons(start=False)
    gigqd = [sys.executable, "-m", "gigqd", "--config", str(stopped.config_path), *command]

    with open("/dev/full", "w") as full:  # noqa: PTH123
        done = subprocess.run(gigqd, stdout=full, stderr=subprocess.PIPE, text=True)

    assert done.returncode == exit_codes.OUTPUT_FAILED
    assert done.stderr == "gigqd: cannot write to standard output: No space left on device\n"


def test_a_reader_that_has_gone_is_no_trouble(daemons):
    stopped = daemons(start=False)
    gigqd = [sys.executable, "-m", "gigqd", "--config", str(stopped.config_path), "status"]

    with subprocess.Popen(gigqd, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        process.stdout.close()
        words = process.stderr.read()

    assert (process.returncode, words) == (exit_codes.BROKEN_PIPE, b"")


def test_a_name_on_the_command_line_finds_its_daemon_and_makes_one(daemons):
    daemon = daemons(start=False)

    started = daemon.command("--name", "mail", "start", "--json")
    elsewhere = daemon.command("status")
    status = daemon.command("status", "--name", "mail")
    by_place = daemon.command("status", "--runtime-dir", str(daemon.home / "run"), "--name", "mail")
    reload = daemon.command("reload", "--name", "mail", "--json")
    stop = daemon.command("stop", "--name", "mail", "--json")

    assert [d.returncode for d in (started, status, by_place, reload, stop)] == [0] * 5
    assert elsewhere.returncode == exit_codes.STATUS_STOPPED
    assert status.stdout.startswith("gigqd mail is running")
    assert json.loads(reload.stdout)["restart"] == []
    assert json.loads(stop.stdout)["finished"] == 0
    assert daemon.command("status", "--name", "../mail").returncode == exit_codes.USAGE
