"""The lock on the database: of one name, one daemon, wherever its runtime files are.

The lock in the runtime directory says which daemon runs there. It does not prevent a daemon of the
same name with another runtime directory, nor one whose directory has been deleted. So a daemon also
holds one byte of `<database>.gigq/locks`, the file of the runs, at a place that its name gives.
`gigq.store.sqlite.processes.run_locks` holds it: closing another descriptor of the same file would
free every lock of this process on it. A fork does not inherit the byte; the process that is the
daemon takes it, after detaching.
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

_PATIENCE = 0.5
_RETRY = 0.02
_FIRST = 1 << 62  # below lie the runs
_PLACES = 1 << 61


class DatabaseLocked(GigqdError):  # noqa: N818 - a sentence, as the library's errors are
    """Another daemon of the same name serves the same database."""

    exit_code = exit_codes.ALREADY_RUNNING


def take(database: Path, name: str) -> None:
    """Hold the lock on a database until this process ends.

    A process that has just been killed may still hold it: a held lock is tried again for half a
    second.

    Args:
        database: the daemon's database; its folder must be there.
        name: the daemon's name.

    Raises:
        Fenced: another daemon of this name holds it.
        GigqdError: nothing can be written beside the database.
    """
    deadline = time.monotonic() + _PATIENCE
    try:
        while not run_locks.hold(database, _place_of(name)):
            if time.monotonic() >= deadline:
                raise _refusal(database, name, holder(database, name))
            time.sleep(_RETRY)
    except OSError as error:
        text = f"{database}: cannot write beside the database: {error.strerror}"
        raise GigqdError(text, exit_code=exit_codes.for_database(error)) from error


def holder(database: Path, name: str) -> int | None:
    """Return the process that serves a database under a name; None when none is seen.

    No file is made. The folder beside the database may have been deleted, and another daemon
    started before this one had locked its byte again.

    Args:
        database: the daemon's database.
        name: the daemon's name.

    Returns:
        The process id, 0 or less for a process that cannot be seen from here.
    """
    with suppress(OSError):
        locks = run_locks.companion_path(database) / "locks"
        if os.access(locks, os.R_OK | os.W_OK) and locks.stat().st_size:
            descriptor = run_locks.lock_descriptor(database)
            held = record_lock.conflict(descriptor, _place_of(name))
            return held.pid if held else None
    return None


def refuse_taken(database: Path, name: str, besides: int | None = None) -> None:
    """Refuse a name that another daemon serves the database under; no file is made.

    Args:
        database: the daemon's database.
        name: the daemon's name.
        besides: a process that may hold the lock.

    Raises:
        Fenced: another process holds it.
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
