"""The control socket: put back when it is gone, and never the daemon's end."""

from __future__ import annotations

import selectors
import socket
from typing import TYPE_CHECKING

import pytest

from gigqd.ipc.control_socket import ControlServer

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "gigqd.sock"


@pytest.fixture
def server(path: Path) -> Iterator[ControlServer]:
    with selectors.DefaultSelector() as selector:
        server = ControlServer(path, selector, {})
        yield server
        server.close()


def answers(path: Path) -> bool:
    with socket.socket(socket.AF_UNIX) as client:
        return client.connect_ex(str(path)) == 0


def test_a_socket_that_is_there_is_left_alone(path: Path, server: ControlServer) -> None:
    assert server.repair() == ()
    assert answers(path)


def test_a_socket_that_is_gone_is_put_back(path: Path, server: ControlServer) -> None:
    path.unlink()

    assert server.repair() == (path.name,)
    assert answers(path)


def test_a_socket_that_cannot_be_put_back_is_tried_again(path: Path, server: ControlServer) -> None:
    path.unlink()
    path.mkdir()

    for _ in range(2):
        with pytest.raises(OSError, match=path.name):
            server.repair()
    path.rmdir()

    assert server.repair() == (path.name,)
    assert answers(path)
