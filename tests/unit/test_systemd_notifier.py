"""Notes to the service manager, over a real datagram socket."""

import os
import socket
import time
from contextlib import closing

import pytest

from gigqd.host.systemd import Notifier, is_started_by_systemd, scrub, watchdog_interval
from gigqd.ipc.control_socket import address


@pytest.fixture
def manager(tmp_path):
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    with address(tmp_path / "notify") as path, closing(sock):
        sock.bind(path)
        sock.settimeout(5)
        yield sock, Notifier({"NOTIFY_SOCKET": path})


def test_ready_carries_a_status_line(manager):
    sock, notifier = manager

    notifier.ready("4 workers\nup")

    assert sock.recv(4096) == b"READY=1\nSTATUS=4 workers up"


def test_stopping_extending_and_the_watchdog_are_single_notes(manager):
    sock, notifier = manager

    notifier.stopping()
    notifier.extend_timeout(12.5)
    notifier.watchdog()

    notes = [sock.recv(4096) for _ in range(3)]
    assert notes == [b"STOPPING=1", b"EXTEND_TIMEOUT_USEC=12500000", b"WATCHDOG=1"]


def test_a_reload_is_dated_by_the_monotonic_clock(manager):
    sock, notifier = manager
    before = time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000

    notifier.reloading()

    note, _, stamp = sock.recv(4096).decode().partition("\nMONOTONIC_USEC=")
    assert note == "RELOADING=1"
    assert before <= int(stamp) <= time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000


def test_an_abstract_socket_is_reached():
    name = f"gigqd-test-{os.getpid()}-{time.monotonic_ns()}"
    with closing(socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)) as sock:
        sock.bind("\0" + name)
        sock.settimeout(5)

        Notifier({"NOTIFY_SOCKET": f"@{name}"}).status("hello")

        assert sock.recv(4096) == b"STATUS=hello"


def test_a_manager_that_does_not_read_is_not_waited_for(manager):
    _sock, notifier = manager

    for _ in range(5000):
        notifier.status("x" * 200)


@pytest.mark.parametrize("path", ["", "relative", "/missing/at/all", "/dev/null", "/" + "x" * 200])
def test_a_manager_that_is_not_there_is_no_error(path):
    Notifier({"NOTIFY_SOCKET": path}).ready("unread")


@pytest.mark.parametrize(
    ("environ", "seconds"),
    [
        ({}, None),
        ({"WATCHDOG_USEC": "60000000"}, 60.0),
        ({"WATCHDOG_USEC": "500000", "WATCHDOG_PID": str(os.getpid())}, 0.5),
        ({"WATCHDOG_USEC": "500000", "WATCHDOG_PID": "1"}, None),
        ({"WATCHDOG_USEC": "soon"}, None),
        ({"WATCHDOG_USEC": "0"}, None),
        ({"WATCHDOG_USEC": "500000", "WATCHDOG_PID": "me"}, None),
    ],
)
def test_the_watchdog_interval_is_what_systemd_says_to_this_process(environ, seconds):
    assert watchdog_interval(environ) == seconds


def test_workers_see_nothing_that_was_meant_for_the_daemon():
    environ = dict.fromkeys(
        ["NOTIFY_SOCKET", "WATCHDOG_PID", "WATCHDOG_USEC", "LISTEN_FDS", "INVOCATION_ID", "PATH"],
        "x",
    )

    scrub(environ)

    assert environ == {"PATH": "x"}


@pytest.mark.parametrize(
    ("environ", "expected"),
    [
        ({"NOTIFY_SOCKET": "/run/systemd/notify"}, True),
        ({"INVOCATION_ID": "1f", "SYSTEMD_EXEC_PID": str(os.getpid())}, True),
        ({"INVOCATION_ID": "1f", "SYSTEMD_EXEC_PID": str(os.getppid())}, True),
        ({"INVOCATION_ID": "1f", "SYSTEMD_EXEC_PID": "4194304"}, False),
        ({"INVOCATION_ID": "1f"}, False),
        ({"PATH": "/bin"}, False),
    ],
)
def test_a_unit_is_distinguished_from_a_shell_that_one_has_started(environ, expected):
    assert is_started_by_systemd(environ) is expected
