"""Whether the process behind an execution is alive: a lock that the kernel frees at its death.

A run is one byte of a lock file, held by one process. POSIX record locks belong to a process:
kill -9 frees them, a fork does not inherit them, and pid numbers play no part, so processes in
different containers see each other's. The price: closing any descriptor of the file drops all
of a process's locks on it. So there is one descriptor per process and file, never closed.
"""

from __future__ import annotations

import fcntl
import os
from functools import lru_cache
from pathlib import Path

_OFFSET_BITS = 62  # what lies above belongs to others, as gigqd/fence.py


class _OwnLocks:
    """This process's descriptors of lock files, and the runs that it holds."""

    def __init__(self) -> None:
        self.forget()

    def forget(self) -> None:
        """Start anew in a forked child: it holds no lock, and inherited numbers may be reused."""
        self.files: dict[Path, int] = {}
        self.held: set[tuple[Path, int]] = set()

    def descriptor(self, path: Path) -> int:
        """The one descriptor of this process for a lock file."""
        if path not in self.files:
            self.files[path] = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        return self.files[path]


_own = _OwnLocks()
os.register_at_fork(after_in_child=_own.forget)


class RunLock:
    """Holds a run of this process from construction until `release` or the process's death.

    Args:
        database_path: the database whose executions this process answers for.
        kind: `worker` for a plain worker, `gigqd` for a daemon.

    Attributes:
        run: what executions store, as `worker:1234`.
    """

    def __init__(self, database_path: str | os.PathLike[str], kind: str) -> None:
        self._path = _lock_file(database_path)
        self._offset = _lock_a_byte(_own.descriptor(self._path))
        self._pid = os.getpid()
        _own.held.add((self._path, self._offset))
        self.run = f"{kind}:{self._offset}"

    def release(self) -> None:
        """End the run: its open executions may be rescued. In a forked child it does nothing."""
        if self._pid == os.getpid() and (self._path, self._offset) in _own.held:
            _own.held.discard((self._path, self._offset))
            fcntl.lockf(_own.descriptor(self._path), fcntl.LOCK_UN, 1, self._offset)


def is_alive(database_path: str | os.PathLike[str], run: str | None) -> bool:
    """Whether the process that holds `run` is still there. No run, or no such run: no."""
    _, _, number = (run or "").partition(":")
    if not number.isdecimal() or int(number) >= 1 << _OFFSET_BITS:
        return False
    path, offset = _lock_file(database_path), int(number)
    # A process never meets its own locks: asking the kernel would free the byte.
    return (path, offset) in _own.held or _is_locked(_own.descriptor(path), offset)


def lock_descriptor(database_path: str | os.PathLike[str]) -> int:
    """This process's one descriptor of a database's lock file. Closing it would free every run.

    Raises:
        OSError: the file cannot be made or opened.
    """
    return _own.descriptor(_lock_file(database_path))


def companion(database_path: str | os.PathLike[str]) -> Path:
    """The folder `<database>.gigq` for the lock file and the bell, made private when missing."""
    folder = companion_path(database_path)
    folder.mkdir(mode=0o700, exist_ok=True)
    return folder


def companion_path(database_path: str | os.PathLike[str]) -> Path:
    """Where that folder is, whether it is there or not."""
    absolute = os.path.abspath(os.path.expanduser(database_path))  # noqa: PTH100, PTH111
    return _beside(absolute)


@lru_cache(maxsize=256)
def _beside(absolute: str) -> Path:
    return Path(os.path.realpath(absolute) + ".gigq")


def _lock_file(database_path: str | os.PathLike[str]) -> Path:
    return companion(database_path) / "locks"


def _lock_a_byte(descriptor: int) -> int:
    while True:
        offset = int.from_bytes(os.urandom(8), "big") >> (64 - _OFFSET_BITS)
        try:
            fcntl.lockf(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB, 1, offset)
        except BlockingIOError:
            continue  # somebody's byte: one chance in very many
        return offset


def _is_locked(descriptor: int, offset: int) -> bool:
    # A shared lock: two processes that ask at once do not take each other for the holder.
    try:
        fcntl.lockf(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB, 1, offset)
    except (BlockingIOError, PermissionError):
        return True
    fcntl.lockf(descriptor, fcntl.LOCK_UN, 1, offset)
    return False
