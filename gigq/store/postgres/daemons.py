"""Daemons of this host that serve a queue on a server, found by the locks that they hold.

A daemon keeps its locks beside a path of its own. So it records there the id of its queue. The
kernel lists the processes that hold such locks, and their open files show the path.
"""

from __future__ import annotations

import os
from contextlib import suppress
from typing import TYPE_CHECKING

from gigq.store.sqlite.file import private_files, record_lock
from gigq.store.sqlite.processes import lock_holders, run_locks

if TYPE_CHECKING:
    from collections.abc import Iterator

_ID_FILE = "store"
_LOCKS = f"{private_files.SUFFIX}/locks"
_LONGEST_ID = 100


def record(place: str, store: str) -> None:
    """Record the queue that a daemon serves; without it only gigqd's commands find the daemon.

    Args:
        place: the path beside which the daemon keeps its locks.
        store: the id of the queue.
    """
    with suppress(OSError):
        private_files.write(run_locks.companion(place) / _ID_FILE, store.encode())


def places_of(store: str) -> tuple[str, ...]:
    """Return the paths beside which the daemons of a queue keep their locks.

    Daemons that this process cannot see are left out: those of other accounts, unless it is root,
    and those in other containers.

    Args:
        store: the id of the queue.
    """
    found = sorted({place for pid in _daemons() for place in _places(pid)})
    return tuple(place for place in found if _store_at(place) == store)


def _daemons() -> set[int]:
    """Return the processes that hold the lock of a daemon."""
    with suppress(OSError):
        locks = record_lock.parsed(record_lock.listed())
        return {one.pid for one in locks if lock_holders.is_of_daemon(one)}
    return set()


def _places(pid: int) -> Iterator[str]:
    with suppress(OSError):
        for number in os.listdir(f"/proc/{pid}/fd"):  # noqa: PTH208 - names, not paths
            target = os.readlink(f"/proc/{pid}/fd/{number}")  # noqa: PTH115 - the same
            if target.endswith(_LOCKS):
                yield target.removesuffix(_LOCKS)


def _store_at(place: str) -> str | None:
    with suppress(OSError):
        file = run_locks.companion_path(place) / _ID_FILE
        return private_files.read(file, _LONGEST_ID).decode("ascii", "replace")
    return None
