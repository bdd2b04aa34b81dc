"""The lock file of a daemon, and what is put back beside it; files and locks are real."""

from __future__ import annotations

import fcntl
import sys
from subprocess import PIPE, Popen
from typing import TYPE_CHECKING, Any

import pytest
from support.configs import config_in

from gigqd import exit_codes
from gigqd.host.identity import Identity, Record
from gigqd.host.lock_file import LockFile
from gigqd.host.runtime_file_repair import FileRepair
from gigqd.host.runtime_files import RuntimeFiles
from gigqd.supervisor.daemon_status import DaemonStatus

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from gigqd.config import Config

RECORD = Record("gigqd.lock", Identity(None, "/srv/jobs.db", "default", ("", "")))


@pytest.fixture
def config(tmp_path: Path) -> Config:
    return config_in(tmp_path)


@pytest.fixture
def runtime_files(config: Config) -> Iterator[RuntimeFiles]:
    runtime_files = RuntimeFiles(config)
    runtime_files.lock()
    runtime_files.write_pid()
    yield runtime_files
    runtime_files.release()


START = """
import sys
from pathlib import Path
from gigqd.host.identity import Identity, Record
from gigqd.host.lock_file import LockFile
record = Record(sys.argv[1], Identity(None, "other.db", "default", ("", "")))
assert LockFile(Path(sys.argv[1])).take(record)
print("taken", flush=True)
sys.stdin.read()
"""


@pytest.fixture
def start(runtime_files: RuntimeFiles) -> Iterator[Popen[str]]:
    """A start that has made the deleted files anew and holds the lock, until its input ends."""
    runtime_files.lock_path.unlink()
    runtime_files.pid_path.unlink()
    command = [sys.executable, "-c", START, str(runtime_files.lock_path)]
    with Popen(command, stdin=PIPE, stdout=PIPE, text=True) as start:
        assert start.stdout is not None
        assert start.stdout.readline() == "taken\n"
        yield start
        start.kill()


def test_a_file_that_is_replaced_before_it_is_locked_is_not_held(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "gigqd.lock"
    file = LockFile(path)
    lock, replaced = fcntl.lockf, []

    def replace_then_lock(descriptor: int, *how: int) -> None:
        if not replaced:
            replaced.append(path.rename(tmp_path / "away"))
            path.touch()
        lock(descriptor, *how)

    monkeypatch.setattr(fcntl, "lockf", replace_then_lock)
    taken = file.take(RECORD)

    assert replaced
    assert taken
    assert file.is_in_place()
    assert path.read_text() != ""
    file.abandon()


@pytest.mark.fault("A23")
def test_a_daemon_leaves_the_files_of_a_start_that_holds_the_lock_alone(
    runtime_files: RuntimeFiles, start: Popen[str]
) -> None:
    before = runtime_files.lock_path.read_text()
    while_held = runtime_files.repair()
    left = (
        runtime_files.is_in_place(),
        runtime_files.lock_path.read_text(),
        runtime_files.pid_path.exists(),
    )
    start.communicate()

    assert while_held == ()
    assert left == (False, before, False)
    assert runtime_files.repair() == (runtime_files.lock_path.name, runtime_files.pid_path.name)


@pytest.mark.fault("A23")
def test_a_daemon_makes_no_control_socket_while_a_start_holds_the_lock(
    config: Config, runtime_files: RuntimeFiles, start: Popen[str]
) -> None:
    repaired: list[str] = []

    def repair_socket() -> list[str]:
        repaired.append("socket")
        return []

    def begin_stop() -> Any:
        raise AssertionError(exit_codes.ALREADY_RUNNING)

    repairs = FileRepair(DaemonStatus(config, "gigqd:1"), runtime_files, repair_socket, begin_stop)
    repairs.step(repairs.at)
    while_held = list(repaired)
    start.communicate()
    repairs.step(repairs.at)

    assert while_held == []
    assert repaired == ["socket"]
