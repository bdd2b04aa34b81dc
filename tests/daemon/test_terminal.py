"""`gigqd run` as a person at a terminal of 80 columns sees it."""

from __future__ import annotations

import fcntl
import os
import pty
import signal
import struct
import subprocess
import sys
import termios
from typing import TYPE_CHECKING

import pytest
from support import jobs
from support.waiting import wait_until

from gigq import Job

if TYPE_CHECKING:
    from collections.abc import Iterator


class Terminal:
    """A daemon in the foreground of a terminal, and what has been shown so far."""

    def __init__(self, daemon, *options: str) -> None:
        self._main, other = pty.openpty()
        fcntl.ioctl(other, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))
        os.set_blocking(self._main, False)
        words = [sys.executable, "-m", "gigqd", "--config", str(daemon.config_path), "run"]
        self.process = subprocess.Popen(
            [*words, *options],
            env=daemon.environment | {"NO_COLOR": "1"},
            stdin=other,
            stdout=other,
            stderr=other,
        )
        os.close(other)
        self._shown = b""

    def shows(self, text: str) -> bool:
        try:
            while chunk := os.read(self._main, 65536):
                self._shown += chunk
        except OSError:  # nothing more for now, or the daemon is gone
            pass
        return text in self.text

    @property
    def text(self) -> str:
        return self._shown.decode().replace("\r\n", "\n")

    def stop(self) -> None:
        self.process.send_signal(signal.SIGTERM)
        wait_until(lambda: self.shows("daemon_stopped"), 20)
        assert self.process.wait(20) == 0
        os.close(self._main)


@pytest.fixture
def stopped(daemons) -> Iterator[object]:
    return daemons({"log.format": "auto", "log.file": None}, start=False)


@pytest.mark.daemon
@pytest.mark.parametrize("options", [(), ("--output",)], ids=["plain", "with output"])
def test_each_event_is_one_line_and_what_jobs_print_is_shown_on_request(stopped, options):
    given = {"ledger": str(stopped.ledger), "job": "talk", "text": "one\ntwo \x1b[2J"}
    job_id = stopped.queue.submit(Job("a talking job", jobs.say, given))
    boom = {"ledger": str(stopped.ledger), "job": "boom", "message": "no luck " * 50}
    stopped.queue.submit(Job("boom", jobs.boom, boom, max_attempts=1))
    stopped.excused |= {"talk": "submitted here", "boom": "submitted here"}
    terminal = Terminal(stopped, *options)
    wait_until(lambda: terminal.shows("job.completed") and terminal.shows("job.failed"), 30)
    terminal.stop()
    lines = terminal.text.splitlines()
    printed = [line for line in lines if line.startswith("    | ")]

    assert printed == (["    | one", "    | two \\x1b[2J"] if options else [])
    assert all(len(line) <= 80 and line.isprintable() for line in lines)
    assert any(f"job.completed    a talking job ({job_id[-8:]})" in line for line in lines)
    assert any("job.failed       boom (" in line and "no luck" in line for line in lines)
    assert not [line for line in lines if "Traceback" in line]
