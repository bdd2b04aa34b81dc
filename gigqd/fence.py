"""The fence on the database: of one name, one daemon, wherever its runtime files are.

The lock in the runtime directory tells who runs there. It cannot tell of a daemon of the same
name with another runtime directory, nor of one whose directory has been deleted. So a daemon also
holds one byte of `<database>.gigq/locks`, the file of the runs, at a place that its name gives.
`gigq/store/liveness.py` holds it: closing another descriptor of the same file would free every
lock of this process on it. A fork does not inherit the byte; it is to be taken by the process that
is the daemon, after detaching.
"""

from __future__ import annotations

import fcntl
import os
import struct
import time
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from gigq.store import liveness
from gigqd import exits
from gigqd.errors import GigqdError
from gigqd.tag import digest

if TYPE_CHECKING:
    from collections.abc import Iterator

_PATIENCE = 0.5
_RETRY = 0.02
_FIRST = 1 << 62  # below lie the runs
_PLACES = 1 << 61
_FLOCK = struct.Struct("@hhqqi4x")  # struct flock of fcntl(2) on 64-bit Linux


class Fenced(GigqdError):  # noqa: N818 - a sentence, as the library's errors are
    """Another daemon of the same name serves the same database."""

    exit_code = exits.ALREADY_RUNNING


def take(database: Path, name: str) -> None:
    """Hold the fence until this process ends.

    What has just been killed may not be gone to the last byte: a held fence is tried again for
    half a second.

    Args:
        database: the daemon's database; its folder must be there.
        name: the daemon's name.

    Raises:
        Fenced: another daemon of this name holds it.
        GigqdError: nothing can be written beside the database.
    """
    try:
        _take(database, name)
    except OSError as error:
        text = f"{database}: cannot write beside the database: {error.strerror}"
        raise GigqdError(text, exit_code=exits.for_database(error)) from error


def holder(database: Path, name: str) -> int | None:
    """The process that holds the fence of a name; None when nobody does, or it cannot be seen.

    Args:
        database: the daemon's database.
        name: the daemon's name.
    """
    kind, pid = _look(database, name)
    return pid if kind != fcntl.F_UNLCK and pid > 0 else None


def holders() -> Iterator[int]:
    """Yield the processes that hold the fence of any database, as far as the kernel shows them."""
    with suppress(OSError):
        for line in Path("/proc/locks").read_text(encoding="ascii").splitlines():
            # 12: POSIX  ADVISORY  WRITE 4711 08:01:131 4611686018427387910 4611686018427387910
            fields = line.split()
            if len(fields) == 8 and fields[1] == "POSIX" and _is_place(int(fields[6])):
                yield int(fields[4])


def loss(database: Path, name: str) -> Fenced | None:
    """Return the refusal of another daemon that holds this daemon's fence; None when none does.

    The folder beside the database may have been deleted, and another daemon started before this one
    had locked its byte again.

    Raises:
        OSError: the lock file cannot be made or opened.
    """
    kind, pid = _look(database, name)
    return None if kind == fcntl.F_UNLCK else Fenced(_refusal(database, name, pid))


def seen(database: Path, name: str) -> str | None:
    """Say who serves a database under a name, without making a file; None when no daemon is seen.

    Args:
        database: the daemon's database.
        name: the daemon's name.
    """
    pid = _pid_seen(database, name)
    return None if pid is None else _holder_as_text(pid)


def refuse_taken(database: Path, name: str, besides: int | None) -> None:
    """Refuse a name that another daemon serves the database under; no file is made.

    Args:
        database: the daemon's database.
        name: the daemon's name.
        besides: a process that may hold the fence.

    Raises:
        Fenced: another process holds it.
    """
    pid = _pid_seen(database, name)
    if pid is not None and pid != besides:
        raise Fenced(_refusal(database, name, pid))


def _pid_seen(database: Path, name: str) -> int | None:
    """Return the process that holds the fence, 0 or less for one that cannot be seen from here."""
    with suppress(OSError):
        locks = liveness.companion_path(database) / "locks"
        if os.access(locks, os.R_OK | os.W_OK) and locks.stat().st_size:
            kind, pid = _look(database, name)
            return None if kind == fcntl.F_UNLCK else pid
    return None


def _take(database: Path, name: str) -> None:
    deadline = time.monotonic() + _PATIENCE
    while not liveness.hold(database, _place_of(name)):
        if time.monotonic() >= deadline:
            raise Fenced(_refusal(database, name, holder(database, name)))
        time.sleep(_RETRY)


def _look(database: Path, name: str) -> tuple[int, int]:
    """Return the kind of another process's lock on the byte of a name, and its process id."""
    descriptor = liveness.lock_descriptor(database)
    asked = _FLOCK.pack(fcntl.F_WRLCK, os.SEEK_SET, _place_of(name), 1, 0)
    kind, _whence, _start, _length, pid = _FLOCK.unpack(
        fcntl.fcntl(descriptor, fcntl.F_GETLK, asked)
    )
    return kind, pid


def _is_place(offset: int) -> bool:
    return _FIRST <= offset < _FIRST + _PLACES


def _place_of(name: str) -> int:
    return _FIRST + int.from_bytes(digest(name, 8), "big") % _PLACES


def _refusal(database: Path, name: str, pid: int | None) -> str:
    return (
        f'another gigqd named "{name}" ({_holder_as_text(pid)}) already serves {database}; '
        "stop that one, or give this one another daemon.name"
    )


def _holder_as_text(pid: int | None) -> str:
    return f"pid {pid}" if pid and pid > 0 else "its pid cannot be seen from here"
