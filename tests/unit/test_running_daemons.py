"""Which processes are taken for daemons; the process and the locks that it holds are real."""

from __future__ import annotations

import os
import subprocess
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest
from support.configs import write_config
from support.lock_lists import LONG, Readings
from support.other_user import SEARCH_PATH

from gigq.store.sqlite.file import record_lock
from gigqd.cli.control_client import NotAnswering
from gigqd.cli.find_daemon import runtime_files_of
from gigqd.cli.parser import build_parser
from gigqd.config import load
from gigqd.host import running_daemons
from gigqd.host.runtime_files import RuntimeFiles

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

PROGRAM = """
import os, signal, sys
from pathlib import Path
from gigqd.host import database_lock
from gigqd.config import load
from gigqd.host.runtime_files import RuntimeFiles

config = load(Path(sys.argv[1]), {})
if "lock" in sys.argv[2:]:
    instance = RuntimeFiles(config)
    instance.lock()
    instance.write_pid()
database_lock.take(Path(config.queue.database), config.daemon.name)
if "apart" in sys.argv[2:]:
    os.chroot(Path(sys.argv[1]).parent)
print("taken", flush=True)
signal.pause()
"""

needs_chroot = pytest.mark.skipif(
    os.geteuid() != 0, reason="only root may give a process another root directory"
)


@contextmanager
def daemon_of(config: Path, *options: str) -> Iterator[int]:
    """A process that holds what a daemon of a configuration does, and does nothing else."""
    command = [sys.executable, "-c", PROGRAM, str(config), *options]
    environment = {**os.environ, "PYTHONPATH": SEARCH_PATH}
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment) as process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == "taken\n"
            yield process.pid
        finally:
            process.kill()


@pytest.fixture
def config(tmp_path: Path) -> Path:
    return write_config(tmp_path)


def found_for(config: Path, trusted: set[int]) -> int | None:
    """The process that is found for the configuration among those of some accounts."""
    wanted = RuntimeFiles(load(config, {})).identity
    found = running_daemons.find(None, wanted, trusted.__contains__)
    return found.pid if found else None


def test_a_daemon_that_a_reading_of_the_locks_leaves_out_is_found(
    config: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with daemon_of(config, "lock") as pid:
        whole = "\n".join(record_lock.listed()) + "\n"
        for texts, found in (([LONG, whole + LONG, LONG], pid), ([LONG] * 3, None)):
            monkeypatch.setattr(record_lock, "_LIST", Readings(texts))
            assert found_for(config, {os.geteuid()}) == found


def test_a_process_of_an_account_that_is_not_trusted_is_no_daemon(config: Path) -> None:
    own = os.geteuid()
    with daemon_of(config, "lock") as pid:
        assert found_for(config, {own}) == pid
        assert found_for(config, {own + 1}) is None


def test_a_lock_file_of_another_account_than_the_process_says_nothing(config: Path) -> None:
    own = os.geteuid()
    with daemon_of(config, "lock") as pid:
        assert running_daemons._record_of(pid, own) is not None
        assert running_daemons._record_of(pid, own + 1) is None


@needs_chroot
@pytest.mark.root
def test_a_process_for_which_the_same_path_is_another_file_is_no_daemon(config: Path) -> None:
    with daemon_of(config, "lock", "apart"):
        assert found_for(config, {os.geteuid()}) is None


@pytest.mark.parametrize("command", ["status", "stop"])
def test_a_daemon_whose_files_cannot_be_found_is_not_taken_for_stopped(
    config: Path, command: str
) -> None:
    options = build_parser().parse_args(["--config", str(config), command])
    with (
        daemon_of(config) as pid,
        pytest.raises(NotAnswering, match=rf"\(pid {pid}\) serves .*--runtime-dir"),
    ):
        runtime_files_of(options)
