"""What happens at the very moment at which no further file can be opened; the limit is real."""

from __future__ import annotations

import errno
import json
import os
import resource
import selectors
import socket
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest

from gigqd import exit_codes
from gigqd.ipc.control_socket import ControlServer
from gigqd.process.cgroups import ControlGroup
from gigqd.supervisor.open_files_limit import OpenFilesLimit

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@contextmanager
def no_file_left() -> Iterator[None]:
    """Let no further file be opened in this process, except in place of one that was closed."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    filling: list[int] = []
    try:
        # The lowest numbers are given first: once they are taken, the next one is the limit.
        highest = max(int(name) for name in os.listdir("/proc/self/fd"))  # noqa: PTH208 - numbers
        while not filling or filling[-1] < highest:
            filling.append(os.open(os.devnull, os.O_RDONLY))
        resource.setrlimit(resource.RLIMIT_NOFILE, (filling[-1] + 1, hard))
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
        for descriptor in filling:
            os.close(descriptor)


def open_files(number: int) -> None:
    opened: list[int] = []
    try:
        opened.extend(os.open(os.devnull, os.O_RDONLY) for _ in range(number))
    finally:
        for descriptor in opened:
            os.close(descriptor)


@pytest.mark.fault("F16")
def test_the_spare_descriptors_serve_the_steps_after_the_first_that_failed() -> None:
    open_files_limit = OpenFilesLimit(lambda: True)

    with no_file_left():
        with open_files_limit:
            open_files(1)
            raise AssertionError("a file could be opened")
        open_files(4)


@pytest.mark.fault("F16")
def test_a_control_group_that_cannot_be_read_for_want_of_files_is_not_empty(tmp_path: Path) -> None:
    group = ControlGroup(tmp_path)
    (tmp_path / "cgroup.events").write_text("populated 0\nfrozen 0\n")

    with no_file_left():
        while_none_is_left = group.is_empty

    assert not while_none_is_left
    assert group.is_empty


@pytest.mark.fault("F16")
def test_a_command_that_fails_for_want_of_files_is_answered(tmp_path: Path) -> None:
    path = tmp_path / "gigqd.sock"
    with selectors.DefaultSelector() as selector, socket.socket(socket.AF_UNIX) as client:
        server = ControlServer(path, selector, {"status": lambda *_asked: open_files(1)})
        client.connect(str(path))
        ((accept, _),) = selector.select(5)
        accept.data()
        client.sendall(b'{"command": "status"}\n')
        ((receive, _),) = selector.select(5)
        with no_file_left(), pytest.raises(OSError, match="Too many open files") as failed:
            receive.data()
        client.settimeout(5)
        answer = json.loads(client.recv(4096))
        server.close()

    assert failed.value.errno == errno.EMFILE
    assert (answer["ok"], answer["code"]) == (False, exit_codes.CANNOT_FORK)
    assert "no further file can be opened" in answer["error"]
