"""Lock on the database: one daemon of each name, wherever its runtime files are.

The lock in the runtime directory names the daemon that runs there. It does not prevent a daemon of
the same name with another runtime directory, or one whose directory was deleted. So a daemon also
locks one byte of `<database>.gigq/locks`, the file of the run locks, at an offset made from its
name. `gigq.store.sqlite.processes.run_locks` holds the lock, because closing another descriptor of
the same file would free every lock of this process on it. A fork does not inherit the lock, so the
daemon takes it after detaching.
"""

from __future__ import annotations

import os
import time
from contextlib import suppress
from typing import TYPE_CHECKING

from gigq.model.digest import digest
from gigq.store.sqlite.file import record_lock
from gigq.store.sqlite.processes import run_locks
from gigqd import exit_codes
from gigqd.errors import GigqdError

if TYPE_CHECKING:
    from pathlib import Path

_LONGEST_WAIT = 0.5
_RETRY = 0.02
_FIRST = 1 << 62  # the run locks are below
_PLACES = 1 << 61


class DatabaseLocked(GigqdError):  # noqa: N818 - a sentence, as the library's errors are
    """Another daemon of the same name serves the same database."""

    exit_code = exit_codes.ALREADY_RUNNING


def take(database: Path, name: str) -> None:
    """Take the lock on a database until this process ends.

    A process that was just killed may still hold it, so the lock is tried for half a second.

    Args:
        database: the daemon's database; its folder must be there.
        name: the daemon's name.

    Raises:
        DatabaseLocked: another daemon of this name holds it.
        GigqdError: nothing can be written beside the database.
    """
    deadline = time.monotonic() + _LONGEST_WAIT
    try:
        while not run_locks.hold(database, _place_of(name)):
            if time.monotonic() >= deadline:
                raise _refusal(database, name, holder(database, name))
            time.sleep(_RETRY)
    except OSError as error:
        text = f"{database}: cannot write beside the database: {error.strerror}"
        raise GigqdError(text, exit_code=exit_codes.for_database(error)) from error


def holder(database: Path, name: str) -> int | None:
    """Return the daemon that serves a database under a name; None when none is seen.

    No file is made.

    Args:
        database: the daemon's database.
        name: the daemon's name.

    Returns:
        The process id; 0 or less for a process of another pid namespace.
    """
    with suppress(OSError):
        locks = run_locks.companion_path(database) / "locks"
        if os.access(locks, os.R_OK | os.W_OK) and locks.stat().st_size:
            descriptor = run_locks.lock_descriptor(database)
            held = record_lock.conflict(descriptor, _place_of(name))
            return held.pid if held else None
    return None


def refuse_taken(database: Path, name: str, besides: int | None = None) -> None:
    """Refuse a name under which another daemon serves the database; no file is made.

    Args:
        database: the daemon's database.
        name: the daemon's name.
        besides: a process that may hold the lock.

    Raises:
        DatabaseLocked: another process holds it.
    """
    pid = holder(database, name)
    if pid is not None and pid != besides:
        raise _refusal(database, name, pid)


def as_text(pid: int | None) -> str:
    """Return the holder of a lock in words."""
    return f"pid {pid}" if pid and pid > 0 else "its pid cannot be seen from here"


def is_place(offset: int) -> bool:
    """Return True for a byte that only daemons lock."""
    return _FIRST <= offset < _FIRST + _PLACES


def _place_of(name: str) -> int:
    return _FIRST + int.from_bytes(digest(name, 8), "big") % _PLACES


def _refusal(database: Path, name: str, pid: int | None) -> DatabaseLocked:
    return DatabaseLocked(
        f'another gigqd named "{name}" ({as_text(pid)}) already serves {database}; '
        "stop that one, or give this one another daemon.name"
    )
