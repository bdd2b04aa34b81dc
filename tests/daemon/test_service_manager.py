"""What a service manager hears, at a socket that stands in for systemd's."""

import os
import signal
import socket
import struct
import time
from dataclasses import dataclass

import pytest
from support import jobs
from support.waiting import wait_until

pytestmark = pytest.mark.daemon

_CREDENTIALS = struct.Struct("3i")


@dataclass(frozen=True)
class Note:
    """A note, which process sent it, and when it came."""

    text: str
    pid: int
    at: float


class Manager:
    """The receiving side of sd_notify(3)."""

    def __init__(self):
        self.name = f"gigqd-test-{os.getpid()}-{time.monotonic_ns()}"
        self.notes = []
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_PASSCRED, 1)
        self._socket.bind(f"\0{self.name}")

    def listen(self, seconds):
        """Take in the next note; whether one came in time."""
        self._socket.settimeout(seconds)
        try:
            data, ancillary, _, _ = self._socket.recvmsg(4096, socket.CMSG_SPACE(12))
        except (TimeoutError, BlockingIOError):
            return False
        pid, _, _ = _CREDENTIALS.unpack(ancillary[0][2])
        self.notes.append(Note(data.decode(), pid, time.monotonic()))
        return True

    def drain(self):
        while self.listen(0.0):
            pass

    def wait_for(self, beginning, within=15.0):
        """Listen until a note with such a line comes."""
        while self.listen(within):
            if self.with_line(beginning) and beginning in self.notes[-1].text:
                return self.notes[-1]
        raise AssertionError(f"no note {beginning} within {within} s: {self.notes}")

    def with_line(self, beginning):
        lines = [(note, line) for note in self.notes for line in note.text.splitlines()]
        return [note for note, line in lines if line.startswith(beginning)]

    def close(self):
        self._socket.close()


@pytest.fixture
def manager():
    manager = Manager()
    yield manager
    manager.close()


@pytest.mark.fault("A20")
def test_readiness_is_reported_once_by_the_supervisor_when_a_worker_is_up(daemons, manager):
    daemon = daemons(start=False)
    daemon.start(NOTIFY_SOCKET=f"@{manager.name}")
    daemon.submit(jobs.ok, "one")
    daemon.stop()
    manager.drain()

    (ready,) = manager.with_line("READY=1")
    (worker, *_) = [e for e in daemon.events("worker_ready") if e["slot"].startswith("default/")]
    (event,) = daemon.events("daemon_ready")
    assert {note.pid for note in manager.notes} == {daemon.pid}
    assert worker["ts"] < event["ts"]
    assert "STATUS=running" in ready.text


@pytest.mark.fault("B13")
def test_a_long_stop_asks_for_time_again_and_again_and_for_none_after_its_end(daemons, manager):
    daemon = daemons({"daemon.stop_timeout": "120s"}, start=False)
    daemon.start(NOTIFY_SOCKET=f"@{manager.name}")
    go = daemon.home / "go"
    daemon.submit(jobs.wait_for_file, "long", {"path": str(go)})
    daemon.wait_for_calls("long")

    daemon.signal(signal.SIGTERM)
    first = manager.wait_for("EXTEND_TIMEOUT_USEC=")
    second = manager.wait_for("EXTEND_TIMEOUT_USEC=")
    go.touch()
    assert daemon.wait_for_exit() == 0
    manager.drain()

    granted = int(first.text.partition("=")[2]) / 1_000_000
    assert second.at - first.at < granted, (
        "the time that was granted was over before more was asked"
    )
    assert len(manager.with_line("STOPPING=1")) == 1
    assert len(manager.with_line("EXTEND_TIMEOUT_USEC=")) == 2
    assert not manager.listen(0.5)


@pytest.mark.fault("B14")
def test_the_watchdog_is_fed_by_the_loop_and_by_nothing_else(daemons, manager):
    daemon = daemons(start=False)
    daemon.start(NOTIFY_SOCKET=f"@{manager.name}", WATCHDOG_USEC="400000")
    for _ in range(3):
        manager.wait_for("WATCHDOG=1", 5.0)

    daemon.signal(signal.SIGSTOP)
    wait_until(lambda: stopped(daemon.pid))
    manager.drain()
    silent = not manager.listen(1.5)
    daemon.signal(signal.SIGCONT)
    manager.wait_for("WATCHDOG=1", 5.0)

    assert silent
    assert {note.pid for note in manager.notes} == {daemon.pid}


def stopped(pid):
    with open(f"/proc/{pid}/stat") as file:  # noqa: PTH123
        return file.read().rpartition(")")[2].split()[0] == "T"


def test_a_reload_that_is_refused_ends_for_the_manager_too(daemons, manager):
    daemon = daemons(start=False)
    daemon.start(NOTIFY_SOCKET=f"@{manager.name}")
    daemon.configure({"pools.default.size": -1})

    daemon.command("reload")
    manager.drain()
    daemon.configure({"pools.default.size": 2})

    (reloading,) = manager.with_line("RELOADING=1")
    *_, ready = manager.with_line("READY=1")
    assert "MONOTONIC_USEC=" in reloading.text
    assert ready.at >= reloading.at
    assert "reload refused" in ready.text


def test_a_watchdog_meant_for_another_process_is_not_fed(daemons, manager):
    daemon = daemons(start=False)
    daemon.start(NOTIFY_SOCKET=f"@{manager.name}", WATCHDOG_USEC="400000", WATCHDOG_PID="1")
    daemon.stop()
    manager.drain()

    assert manager.with_line("READY=1")
    assert not manager.with_line("WATCHDOG=1")
