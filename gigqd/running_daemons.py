"""Finds the running daemons of this host, also those whose runtime files are elsewhere or deleted.

Each daemon holds one byte of its database's lock file (`gigqd/fence.py`), and the kernel lists the
holders of such locks. A daemon also has its own lock file open, whose text says which daemon it is;
it can be read through /proc after the file was deleted. Only a file that belongs to the
account of the process counts: no other account can have written it.
"""

from __future__ import annotations

import os
import stat
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from gigq.store.private_files import is_known
from gigqd import fence
from gigqd.identity import read_note

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from gigqd.identity import Identity, LockNote

_LOCK_PREFIX, _LOCK_SUFFIX = "gigqd", ".lock"
_DELETED = " (deleted)"
_TO_READ = os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC


class RunningDaemon(NamedTuple):
    """A daemon that was found.

    Attributes:
        pid: its process.
        uid: the account that it runs as.
        note: what its lock file says.
    """

    pid: int
    uid: int
    note: LockNote


def find(
    is_wanted: Callable[[LockNote], bool], trusts: Callable[[int], bool]
) -> RunningDaemon | None:
    """Return the first daemon of another process that is wanted; None when none can be seen.

    Args:
        is_wanted: judges by the text of a daemon's lock file.
        trusts: judges by a user id whether a daemon of this account may be meant.
    """
    wanted = (found for found in _running(trusts) if is_wanted(found.note))
    return next(wanted, None)


def find_of_file(wanted: Identity) -> RunningDaemon | None:
    """Return the daemon that runs a configuration file, of which only the path has to be known.

    A daemon of root, of this account or of the owner of the file counts.
    """
    accounts = {0, os.geteuid()}
    with suppress(OSError):
        accounts.add(Path(wanted.config or "").stat().st_uid)
    return find(
        lambda note: bool(note.identity and note.identity.has_file_of(wanted)),
        lambda uid: uid in accounts and is_known(uid),
    )


def _running(trusts: Callable[[int], bool]) -> Iterator[RunningDaemon]:
    for pid in fence.holders():
        uid = None if pid == os.getpid() else _account_of(pid)
        if uid is None or not trusts(uid):
            continue
        note = _note_of(pid, uid)
        if note is not None and _has_same_files(pid, note):
            yield RunningDaemon(pid, uid, note)


def _account_of(pid: int) -> int | None:
    """Return the user id of a process; None when it is gone or has several."""
    with suppress(OSError):
        for line in Path(f"/proc/{pid}/status").read_bytes().splitlines():
            if line.startswith(b"Uid:"):
                uids = {int(uid) for uid in line.split()[1:]}
                return uids.pop() if len(uids) == 1 else None
    return None


def _note_of(pid: int, uid: int) -> LockNote | None:
    """Return the text of the lock file that a process has open; None when it has none."""
    with suppress(OSError):
        for number in os.listdir(f"/proc/{pid}/fd"):  # noqa: PTH208 - names, not paths
            link = f"/proc/{pid}/fd/{number}"
            if _is_lock(link, uid) and (note := _read(link)) is not None:
                return note
    return None


def _is_lock(link: str, uid: int) -> bool:
    with suppress(OSError):
        name = os.path.basename(os.readlink(link)).removesuffix(_DELETED)  # noqa: PTH115, PTH119
        if name.startswith(_LOCK_PREFIX) and name.endswith(_LOCK_SUFFIX):
            found = os.stat(link)  # noqa: PTH116 - the open file, not its path
            return stat.S_ISREG(found.st_mode) and found.st_uid == uid
    return False


def _read(link: str) -> LockNote | None:
    with suppress(OSError):
        descriptor = os.open(link, _TO_READ)
        try:
            return read_note(descriptor)
        finally:
            os.close(descriptor)
    return None


def _has_same_files(pid: int, note: LockNote) -> bool:
    """Return True when a path means the same to a process as to this one, as in one container."""
    database = note.identity.database if note.identity else note.lock
    for path in (os.path.dirname(database), "/"):  # noqa: PTH120
        with suppress(FileNotFoundError):
            try:
                return os.path.samestat(os.stat(f"/proc/{pid}/root{path}"), os.stat(path))  # noqa: PTH116
            except (PermissionError, NotADirectoryError):
                return False
    return False
