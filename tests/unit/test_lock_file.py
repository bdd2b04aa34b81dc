"""The lock file of a daemon, and what is put back beside it; files and locks are real."""

from __future__ import annotations

import fcntl
from typing import TYPE_CHECKING, Any

import pytest
from support.configs import config_in

from gigqd import exits
from gigqd.instance import Instance
from gigqd.lock_file import LockFile
from gigqd.repairs import Repairs
from gigqd.report import Facts

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from gigqd.config import Config


@pytest.fixture
def config(tmp_path: Path) -> Config:
    return config_in(tmp_path)


@pytest.fixture
def instance(config: Config) -> Iterator[Instance]:
    instance = Instance(config)
    instance.lock()
    instance.write_pid()
    yield instance
    instance.release()


@pytest.fixture
def start(instance: Instance) -> Iterator[LockFile]:
    """A start that has made the deleted files anew and holds the lock."""
    instance.lock_path.unlink()
    instance.pid_path.unlink()
    start = LockFile(instance.lock_path)
    assert start.take()
    yield start
    start.abandon()


def test_a_file_that_is_replaced_before_it_is_locked_is_not_held(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "gigqd.lock"
    first, second = LockFile(path), LockFile(path)
    lock = fcntl.flock

    def replace_then_lock(descriptor: int, how: int) -> None:
        path.unlink()
        path.touch()
        lock(descriptor, how)

    with monkeypatch.context() as patched:
        patched.setattr(fcntl, "flock", replace_then_lock)
        taken = first.take()

    assert not taken
    assert not first.is_ours
    assert second.take()
    second.abandon()


@pytest.mark.fault("A23")
def test_a_daemon_leaves_the_files_of_a_start_that_holds_the_lock_alone(
    instance: Instance, start: LockFile
) -> None:
    while_held = instance.repair()
    left = (start.is_in_place(), instance.lock_path.read_text(), instance.pid_path.exists())
    start.abandon()

    assert while_held == ()
    assert left == (True, "", False)
    assert instance.repair() == (instance.lock_path.name, instance.pid_path.name)


@pytest.mark.fault("A23")
def test_a_daemon_makes_no_control_socket_while_a_start_holds_the_lock(
    config: Config, instance: Instance, start: LockFile
) -> None:
    repaired: list[str] = []

    def repair_socket() -> list[str]:
        repaired.append("socket")
        return []

    def begin_stop() -> Any:
        raise AssertionError(exits.ALREADY_RUNNING)

    repairs = Repairs(Facts(config, "gigqd:1"), instance, repair_socket, begin_stop)
    repairs.turn(repairs.at)
    while_held = list(repaired)
    start.abandon()
    repairs.turn(repairs.at)

    assert while_held == []
    assert repaired == ["socket"]
