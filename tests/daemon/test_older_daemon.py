"""A daemon that an older version started, met by the commands of this one."""

from __future__ import annotations

import fcntl
from typing import TYPE_CHECKING

import pytest

from gigqd import exit_codes

if TYPE_CHECKING:
    from collections.abc import Iterator

    from support.daemon import Daemon

pytestmark = pytest.mark.daemon

RECORD = '{"lock": "gigqd.lock", "identity": {"config": null}}\n'


@pytest.fixture
def older(daemons) -> Iterator[Daemon]:
    """A project in which the lock is held as versions before the record locks held it."""
    daemon = daemons(start=False)
    lock = daemon.runtime_files.lock_path
    lock.parent.mkdir(mode=0o750)
    lock.write_text(RECORD)
    with lock.open() as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        yield daemon
    lock.unlink()


@pytest.mark.parametrize("command", ["start", "status", "reload", "pause", "restart", "stop"])
def test_each_command_names_the_older_daemon_and_how_to_stop_it(older, command):
    done = older.command(command)

    unknown = command == "status"
    assert done.returncode == (exit_codes.STATUS_UNKNOWN if unknown else exit_codes.ALREADY_RUNNING)
    assert (
        f"a gigqd of an older version holds {older.runtime_files.lock_path}"
        in done.stdout + done.stderr
    )
    assert "kill -TERM PID" in done.stdout + done.stderr
    assert older.runtime_files.lock_path.read_text() == RECORD
