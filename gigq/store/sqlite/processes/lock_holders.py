"""Lock holders: the processes that run jobs of a database or have it open, found by locks."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from gigq.store.sqlite.file import record_lock
from gigq.store.sqlite.processes.run_locks import (
    companion_path,
    is_alive,
    lock_descriptor,
    schema_range,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

_RUNS = (0, 1 << 62)
_DAEMONS = (1 << 62, 3 << 61)
_READERS = range(123, 128)  # bytes of the -shm that a reader in WAL mode locks, WAL_READ_LOCK(0..4)
_OPEN = range(128, 129)  # the byte that every connection locks while it is open, UNIX_SHM_DMS
_MOST = 1000


def servers(path: str) -> dict[str, tuple[int, ...]] | None:
    """Return the ids of the processes that run jobs of a database.

    Args:
        path: the database file.

    Returns:
        `daemons` and `workers`, or None when this user may not see the locks. The id of a process
        in another container is 0 or negative.
    """
    if not _may_ask(path):
        return None if _is_closed_to_us(_locks(path)) else {"daemons": (), "workers": ()}
    descriptor = lock_descriptor(path)
    daemons = sorted(set(_holders(descriptor, *_DAEMONS)))
    workers = sorted(set(_holders(descriptor, *_RUNS)) - set(daemons))
    return {"daemons": tuple(daemons), "workers": tuple(workers)}


def servers_at(paths: Iterable[str]) -> dict[str, tuple[int, ...]] | None:
    """Return what `servers` returns for several paths together.

    Returns:
        None when this user may see the locks at none of them.
    """
    seen = [found for found in map(servers, paths) if found is not None]
    if not seen:
        return None
    kinds = ("daemons", "workers")
    return {kind: tuple(sorted({pid for one in seen for pid in one[kind]})) for kind in kinds}


def is_of_daemon(lock: record_lock.RecordLock) -> bool:
    """Return True for the lock by which a daemon is the only one of its name on its database."""
    first, end = _DAEMONS
    return first <= lock.first < end and lock.length == 1


def older_than(path: str, schema: int) -> tuple[int, ...] | None:
    """Return the ids of the other processes that run jobs and do not know a schema.

    Args:
        path: the database file.
        schema: its version.

    Returns:
        The ids, or None when this user may not see the locks.
    """
    if not _may_ask(path):
        return None if _is_closed_to_us(_locks(path)) else ()
    descriptor = lock_descriptor(path)
    alive = {*_holders(descriptor, *_DAEMONS), *_holders(descriptor, *_RUNS)}
    return tuple(sorted(alive - set(_holders(descriptor, *schema_range(schema)))))


def is_gone(path: str, run: str | None) -> bool | None:
    """Return True when the process of a run has ended; None when unknown."""
    if run is None or not _may_ask(path):
        return None
    return not is_alive(path, run)


def readers(path: str) -> frozenset[int]:
    """Return the other visible processes with an open read transaction."""
    return _holders_of_index(path, _READERS)


def users(path: str) -> frozenset[int]:
    """Return the other visible processes that have the database open."""
    return _holders_of_index(path, _OPEN)


def _holders_of_index(path: str, bytes_: range) -> frozenset[int]:
    """Return the other visible processes with a lock on one of some bytes of the -shm file."""
    try:
        locks = record_lock.on_file(f"{path}-shm")
    except OSError:
        return frozenset()
    return frozenset(one.pid for one in locks if one.first in bytes_ and one.length) - {os.getpid()}


def _locks(path: str) -> Path:
    return companion_path(path) / "locks"


def _may_ask(path: str) -> bool:
    # Opening would create a missing lock file, and write into an empty one.
    locks = _locks(path)
    return os.access(locks, os.R_OK | os.W_OK) and locks.stat().st_size > 0


def _is_closed_to_us(locks: Path) -> bool:
    """Return True when this account may not see the locks; an empty file has none."""
    try:
        locks.stat()
    except OSError as error:
        return not isinstance(error, FileNotFoundError)
    return not os.access(locks, os.R_OK | os.W_OK)


def _holders(descriptor: int, first: int, end: int) -> Iterator[int]:
    for _ in range(_MOST):
        lock = record_lock.conflict(descriptor, first, end - first)
        if lock is None:
            return
        yield lock.pid
        first = lock.first + lock.length
        if not lock.length or first >= end:
            return
