"""Which processes of the torture run can still do something."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING

from torture.victims import Victim

if TYPE_CHECKING:
    from collections.abc import Iterator


@contextmanager
def _held(process: subprocess.Popen[bytes]) -> Iterator[Victim]:
    victim = Victim(process.pid, lambda _: True)
    try:
        yield victim
    finally:
        victim.close()
        process.kill()
        process.wait()


@contextmanager
def _on_one_processor() -> Iterator[None]:
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {min(before)})
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


def _program(text: str) -> subprocess.Popen[bytes]:
    return subprocess.Popen([sys.executable, "-c", text], stdout=subprocess.PIPE)


def test_a_process_that_runs_or_sleeps_is_not_given_up() -> None:
    for text in ("while True: pass", "import time; time.sleep(60)"):
        with _program(text) as process, _held(process) as victim:
            assert not victim.runs_no_more


def test_a_killed_process_that_waits_for_a_processor_runs_no_more() -> None:
    text = "print(flush=True)\nwhile True: pass"
    with _on_one_processor(), _program(text) as process, _held(process) as victim:
        assert process.stdout
        process.stdout.readline()
        # From now on it gets this processor only when this test leaves it.
        os.sched_setscheduler(process.pid, os.SCHED_IDLE, os.sched_param(0))
        process.send_signal(signal.SIGKILL)
        assert victim.runs_no_more


def test_an_ended_process_runs_no_more() -> None:
    with _program("") as process, _held(process) as victim:
        os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
        assert victim.runs_no_more
