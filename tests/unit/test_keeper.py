"""What the keeper hears, whatever its line's descriptor is."""

from __future__ import annotations

import fcntl
import resource
import socket
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest

from gigqd import wire
from gigqd.roles.keeper import Keeper
from gigqd.scoreboard import Scoreboard

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_BEYOND_SELECT = 1024


@pytest.fixture
def high_descriptors() -> Iterator[None]:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = 2 * _BEYOND_SELECT
    if hard != resource.RLIM_INFINITY and hard < wanted:
        pytest.skip(f"this account may not open more than {hard} files")
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, wanted), hard))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


@pytest.mark.usefixtures("high_descriptors")
def test_a_daemon_with_many_workers_can_replace_its_keeper(tmp_path: Path) -> None:
    ours, theirs = wire.pair()
    high = fcntl.fcntl(theirs.fileno(), fcntl.F_DUPFD_CLOEXEC, _BEYOND_SELECT)
    channel = socket.socket(fileno=high)
    birth: Any = SimpleNamespace(
        config=SimpleNamespace(queue=SimpleNamespace(database=str(tmp_path / "jobs.db"))),
        tag=SimpleNamespace(run="gigqd:1", generation=1),
        cell=Scoreboard(1).take(),
        channel=channel,
    )
    keeper = Keeper(birth)
    ours.send({"leave": True})

    keeper._listen()

    assert keeper._leaving
    for each in (ours, channel, theirs):
        each.close()
