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
from typing import TYPE_CHECKING

from gigq.store import liveness
from gigqd import exits
from gigqd.errors import GigqdError
from gigqd.tag import digest

if TYPE_CHECKING:
    from pathlib import Path

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
    descriptor = liveness.lock_descriptor(database)
    asked = _FLOCK.pack(fcntl.F_WRLCK, os.SEEK_SET, _place_of(name), 1, 0)
    kind, _whence, _start, _length, pid = _FLOCK.unpack(
        fcntl.fcntl(descriptor, fcntl.F_GETLK, asked)
    )
    return pid if kind != fcntl.F_UNLCK and pid > 0 else None


def _take(database: Path, name: str) -> None:
    deadline = time.monotonic() + _PATIENCE
    while not liveness.hold(database, _place_of(name)):
        if time.monotonic() >= deadline:
            raise Fenced(_refusal(database, name, holder(database, name)))
        time.sleep(_RETRY)


def _place_of(name: str) -> int:
    return _FIRST + int.from_bytes(digest(name, 8), "big") % _PLACES


def _refusal(database: Path, name: str, pid: int | None) -> str:
    who = f"pid {pid}" if pid else "its pid cannot be seen from here"
    return (
        f'another gigqd named "{name}" ({who}) already serves {database}; '
        "stop that one, or give this one another daemon.name"
    )
