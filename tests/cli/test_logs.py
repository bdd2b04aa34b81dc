"""`gigq logs` under a real daemon: what was printed, and what is being printed."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest
from support import jobs, jobs_that_talk, stores
from support.shell import Shell, clean_environment
from support.waiting import wait_until

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from support.daemon import Daemon

pytestmark = pytest.mark.daemon

ONE = {"pools.default.size": 1}

# Root may look into everything; without CAP_SYS_PTRACE it may not look into a root that has it.
WITHOUT_PTRACE = """
import ctypes, os, sys
ctypes.CDLL(None).prctl(24, 19, 0, 0, 0)
os.execv(sys.executable, [sys.executable, "-m", "gigq", *sys.argv[1:]])
"""


class Following:
    """A `gigq logs -f` in the background."""

    def __init__(self, shell: Shell, *arguments: str) -> None:
        self._out, self._err = shell.folder / "out", shell.folder / "err"
        with self._out.open("w") as out, self._err.open("w") as err:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "gigq", "logs", "-f", *arguments],
                cwd=shell.folder,
                env=clean_environment(),
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=err,
            )

    def out(self) -> str:
        return self._out.read_text()

    def err(self) -> str:
        return self._err.read_text()

    def finish(self) -> int:
        return self.process.wait(30)


@pytest.fixture
def follow(shell: Shell) -> Iterator[Callable[..., Following]]:
    begun: list[Following] = []

    def start(daemon: Daemon, *arguments: str) -> Following:
        begun.append(Following(shell, *arguments, "--db", str(daemon.database)))
        return begun[-1]

    yield start
    for one in begun:
        one.process.kill()
        one.process.wait()


@pytest.fixture
def cues(tmp_path: Path) -> Path:
    folder = tmp_path / "cues"
    folder.mkdir()
    return folder


def talk(daemon: Daemon, cues: Path, *lines: str, key: str = "talk", fails: int = 0) -> str:
    params = {"cues": str(cues), "lines": lines, "fails": fails}
    return daemon.submit(jobs_that_talk.say_on_cue, key, params, max_attempts=2)


def give(cues: Path, *numbers: int) -> None:
    for number in numbers:
        (cues / str(number)).touch()


@pytest.mark.parametrize("daemons", stores.KINDS, indirect=True)
def test_a_running_jobs_output_so_far_and_then_all_of_it(daemons, shell, cues):
    daemon = daemons(ONE)
    job_id = talk(daemon, cues, "one", "two")
    give(cues, 0)
    db = ("--db", daemon.address)

    wait_until(lambda: shell.run("logs", job_id, *db).stdout == "talk: one\n")
    running = shell.json("logs", job_id, *db)
    give(cues, 1)
    daemon.wait_for_job(job_id, "completed")

    assert (running["status"], running["attempt"]) == ("running", 1)
    assert running["output"] == "talk: one\n"
    assert shell.out("logs", job_id, *db) == "talk: one\ntalk: two\n"


def test_following_shows_each_line_as_it_comes_and_once(daemons, shell, cues, follow):
    daemon = daemons(ONE)
    lines = ["tick"] * 5
    job_id = talk(daemon, cues, *lines)
    after = talk(daemon, cues, "not yours", key="next")
    following = follow(daemon, job_id)
    for number in range(4):
        give(cues, number)
        wait_until(lambda n=number: following.out() == "talk: tick\n" * (n + 1))
    give(cues, 4)

    assert following.finish() == 0
    assert following.out() == "talk: tick\n" * 5
    assert f"job {job_id} is completed" in following.err()
    daemon.wait_for_job(after, "completed")


def test_following_goes_on_with_the_next_attempt(daemons, shell, cues, follow):
    daemon = daemons(ONE)
    job_id = talk(daemon, cues, "hello", fails=1)
    following = follow(daemon, job_id)
    wait_until(lambda: "attempt 1 runs in default/0." in following.err())
    give(cues, 0)

    assert following.finish() == 0
    assert following.out() == "talk: hello\n" * 2
    assert "attempt 1 ended: failed (error, after" in following.err()
    assert "RuntimeError: talk fails" in following.err()
    assert "attempt 2 ended: completed" in following.err()


def test_following_one_attempt_ends_with_it(daemons, shell, cues, follow):
    daemon = daemons(ONE)
    job_id = talk(daemon, cues, "hello", fails=1)
    following = follow(daemon, job_id, "--attempt", "1")
    give(cues, 0)

    assert following.finish() == 1
    assert following.out() == "talk: hello\n"
    daemon.wait_for_job(job_id, "completed")


def test_following_a_job_that_is_cancelled_ends_with_its_end(daemons, shell, cues, follow):
    daemon = daemons(ONE)
    job_id = talk(daemon, cues, "one", "never")
    following = follow(daemon, job_id)
    give(cues, 0)
    wait_until(lambda: following.out() == "talk: one\n")
    answer = shell.out("cancel", "--running", job_id, "--db", str(daemon.database))

    assert answer == f"Job {job_id} is asked to end.\n"
    assert following.finish() == 1
    assert f"job {job_id} is cancelled" in following.err()


def test_what_a_killed_job_has_printed_is_there_and_its_status_says_all(daemons, shell):
    daemon = daemons({**ONE, "pools.default.timeout_grace": "200ms"})
    job_id = daemon.submit(jobs.print_and_hang, "hang", timeout=1, max_attempts=1)
    daemon.wait_for_job(job_id, "timeout")
    db = ("--db", str(daemon.database))
    status = shell.out("status", job_id, *db)

    assert sorted(shell.out("logs", job_id, *db).split("\n")) == [
        "", "from a child", "to stderr", "to stdout"
    ]  # fmt: skip
    for words in ("Cause: timeout", "Signal: SIGKILL", "Stack:", "print_and_hang", "from a child"):
        assert words in status
    for words in ("Wall time: ", "CPU time: ", "Peak memory: ", "Killed: ", "Kill was late by: "):
        assert words in status


def test_much_output_is_shown_from_what_is_kept_of_it(daemons, shell, cues):
    daemon = daemons(ONE)
    params = {"cues": str(cues), "kilobytes": 6 * 1024}
    job_id = daemon.submit(jobs_that_talk.flood, "flood", params)
    wait_until((cues / "flooded").exists, 30)
    so_far = shell.out("logs", job_id, "--db", str(daemon.database))
    (cues / "go").touch()
    daemon.wait_for_job(job_id, "completed")

    assert so_far.endswith("00006143\nthe end\n")
    assert "\\x00" not in so_far


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can have, and give up, CAP_SYS_PTRACE")
def test_who_may_not_look_into_the_daemon_is_told_so(daemons, shell, cues):
    daemon = daemons(ONE)
    job_id = talk(daemon, cues, "one")
    daemon.wait_for_job(job_id, "running")
    done = subprocess.run(
        [sys.executable, "-c", WITHOUT_PTRACE, "logs", job_id, "--db", str(daemon.database)],
        env=clean_environment(),
        capture_output=True,
        text=True,
    )
    give(cues, 0)
    daemon.wait_for_job(job_id, "completed")

    assert done.returncode == 77
    assert f"may not look into the daemon that runs this job (pid {daemon.pid})" in done.stderr
    assert "run gigq logs as root or as the daemon's user" in done.stderr


def test_from_another_pid_namespace_it_says_where_to_look(daemons, shell, cues):
    apart = ["unshare", "--pid", "--fork", "--mount-proc"]
    if subprocess.run([*apart, "true"], capture_output=True).returncode:
        pytest.skip("this user may not make a pid namespace")
    daemon = daemons(ONE)
    job_id = talk(daemon, cues, "one")
    daemon.wait_for_job(job_id, "running")
    done = subprocess.run(
        [*apart, sys.executable, "-m", "gigq", "logs", job_id, "--db", str(daemon.database)],
        env=clean_environment(),
        capture_output=True,
        text=True,
    )
    give(cues, 0)
    daemon.wait_for_job(job_id, "completed")

    assert done.returncode == 77
    assert "another container (pid namespace)" in done.stderr
