"""Run locks: each process that runs jobs holds a lock that the kernel frees when it dies.

A run is one byte of a lock file, locked by one process. POSIX record locks belong to a process:
kill -9 frees them, a fork does not inherit them, and they do not depend on pid numbers, so
processes in different containers see each other's. But closing any descriptor of the file drops
all locks of the process on it. So a process has one descriptor for each file and never closes it
while the file is there.

A living process can lose its locks: a job of a plain worker copies the folder and closes its own
descriptor of the file, or the file is deleted. No other process sees them until the holder has
locked its bytes again. So a run also names its process, by boot, process namespace, pid and start
time, and is dead when its byte is free and that process is gone. A process of another container
cannot be seen: after its lock file was replaced it has 15 s to lock its byte in the next one.
"""

from __future__ import annotations

import fcntl
import os
from contextlib import suppress
from functools import cache, lru_cache
from pathlib import Path
from typing import NamedTuple

from gigq.model import clock
from gigq.store.sqlite.file import private_files, record_lock
from gigq.store.sqlite.file.filesystem import resolve

_MOST_DIGITS = 20
_OFFSET_BITS = 62  # gigqd/host/database_lock.py uses the bytes above
_WORD_LOCK = (1 << 63) - 2  # beyond those, too
_SCHEMAS = 3 << 61  # a byte from here on shows the schema that a process knows
_ROOM_OF_SCHEMA = 1 << 32
_LOCKED_AGAIN_WITHIN = 15.0
"""Seconds from a new lock file until every living process has locked its bytes in it: a daemon
checks every 5 s (gigqd/host/runtime_file_repair.py), a plain worker in every turn of its loop."""


class _LockFile(NamedTuple):
    """A lock file that this process has open, and the word in it that identifies the file."""

    descriptor: int
    word: str


class _OwnLocks:
    """The descriptors of lock files in this process, and the bytes that it has locked."""

    def __init__(self) -> None:
        self.forget()

    def forget(self) -> None:
        """Forget everything in a forked child, which inherits no lock."""
        self.files: dict[Path, _LockFile] = {}
        self.held: set[tuple[Path, int]] = set()

    def file(self, path: Path) -> _LockFile:
        """Return this process's one descriptor of a lock file, of the next one after a deletion."""
        known = self.files.get(path)
        if known is not None and private_files.is_at(path, known.descriptor):
            return known
        private_files.make_folder(path.parent)
        descriptor = private_files.open_file(path)
        opened = self.files[path] = _LockFile(descriptor, _word_in(descriptor))
        for _, offset in (one for one in self.held if one[0] == path):
            record_lock.take(descriptor, offset)
        if known is not None:
            os.close(known.descriptor)
        return opened

    def lock(self, path: Path, offset: int) -> bool:
        """Lock a byte until `unlock` or this process's death; False when another process has it."""
        if not record_lock.take(self.file(path).descriptor, offset):
            return False
        self.held.add((path, offset))
        return True

    def unlock(self, path: Path, offset: int) -> None:
        """Unlock a byte, even if the folder was moved away."""
        self.held.discard((path, offset))
        record_lock.free(self.files[path].descriptor, offset)


_own = _OwnLocks()
os.register_at_fork(after_in_child=_own.forget)


class RunLock:
    """The lock of a run of this process, from construction until `release` or its death.

    Args:
        database_path: the database whose jobs this process runs.
        kind: `worker` for a plain worker, `gigqd` for a daemon.

    Attributes:
        run: the text that executions store, `worker:1234:…`: kind, byte, file and process.
    """

    def __init__(self, database_path: str | os.PathLike[str], kind: str) -> None:
        self._path = _lock_file(database_path)
        self._schema = _lock_a_byte(self._path, schema_range(schema_known())[0], 32)
        self._offset = _lock_a_byte(self._path)
        self._pid = os.getpid()
        word = _own.file(self._path).word
        self.run = ":".join([kind, str(self._offset), word, *_own_process()])

    def release(self) -> None:
        """Unlock the bytes. For other processes the run still lasts until this process ends.

        In a forked child this does nothing.
        """
        if self._pid == os.getpid() and (self._path, self._offset) in _own.held:
            _own.unlock(self._path, self._offset)
            _own.unlock(self._path, self._schema)


def is_alive(database_path: str | os.PathLike[str], run: str | None) -> bool:
    """Return True while the process that holds `run` lives; False without such a run."""
    _, number, *rest = (run if run and ":" in run else ":").split(":")
    if not number.isdecimal() or len(number) > _MOST_DIGITS or int(number) >= 1 << _OFFSET_BITS:
        return False
    path, offset = _lock_file(database_path), int(number)
    file = _own.file(path)
    # The kernel does not report a process's own locks.
    if (path, offset) in _own.held or record_lock.conflict(file.descriptor, offset):
        return True
    return _is_there(rest[1:]) or _may_lock_again(file, rest[1:])


def is_of_this_host(run: str) -> bool:
    """Return True for a run of this boot and process namespace, whose end can be seen."""
    return run.split(":")[3:5] == _here() != []


def lock_file_of(run: str) -> str:
    """Return the id of the lock file in which a run has its byte; empty text when it has none."""
    return "".join(run.split(":")[2:3])


def id_of_lock_file(database_path: str | os.PathLike[str]) -> str:
    """Return the id of a database's lock file; it is made when missing.

    Raises:
        OSError: the file cannot be made or opened.
    """
    return _own.file(_lock_file(database_path)).word


def process_of(run: str) -> int | None:
    """Return the process that a run of this host names; None when it has ended."""
    process = run.split(":")[3:]
    return int(process[2]) if _is_there(process) else None


def has_lock_file(database_path: str | os.PathLike[str]) -> bool:
    """Return True when a process has made the lock file of a database."""
    return (companion_path(database_path) / "locks").exists()


def lock_descriptor(database_path: str | os.PathLike[str]) -> int:
    """Return this process's one descriptor of a database's lock file; closing it frees all runs.

    Raises:
        OSError: the file cannot be made or opened.
    """
    return _own.file(_lock_file(database_path)).descriptor


def hold(database_path: str | os.PathLike[str], offset: int) -> bool:
    """Lock a byte of a database's lock file until this process's death.

    Returns:
        False when another process has locked it.

    Raises:
        OSError: the file cannot be made or opened.
    """
    return _own.lock(_lock_file(database_path), offset)


def renew() -> bool:
    """Lock this process's bytes in the next lock file, where one was deleted.

    Returns:
        True when a lock file was deleted.

    Raises:
        OSError: the next lock file cannot be made.
    """
    before = dict(_own.files)
    for path in {path for path, _ in _own.held}:
        _own.file(path)
    return before != _own.files


def retake() -> None:
    """Lock again the bytes that this process lost because its code closed a lock file."""
    for path, offset in _own.held.copy():
        with suppress(OSError):
            record_lock.take(_own.files[path].descriptor, offset)


@cache
def schema_known() -> int:
    """Return the version of the schema that this gigq works with, without a database."""
    files = (Path(__file__).parents[2] / "sql" / "schema" / "sqlite").glob("[0-9]*.sql")
    return max(int(file.name.partition("_")[0]) for file in files)


def schema_range(first: int) -> tuple[int, int]:
    """Return the range of bytes for processes that know schema `first` or a later one."""
    return _SCHEMAS + first * _ROOM_OF_SCHEMA, _WORD_LOCK


def companion(database_path: str | os.PathLike[str]) -> Path:
    """Return the folder `<database>.gigq` for locks and pipes; make it, private, when missing.

    Raises:
        OSError: it cannot be made, or another account may have placed it there.
    """
    folder = companion_path(database_path)
    private_files.make_folder(folder)
    return folder


def companion_path(database_path: str | os.PathLike[str]) -> Path:
    """Return the path of that folder, which need not exist.

    Raises:
        StoreError: as `resolve`.
    """
    return _beside(resolve(database_path))


@lru_cache(maxsize=256)
def _beside(real: str) -> Path:
    return Path(real + private_files.SUFFIX)


def _lock_file(database_path: str | os.PathLike[str]) -> Path:
    return companion(database_path) / "locks"


def _lock_a_byte(path: Path, first: int = 0, bits: int = _OFFSET_BITS) -> int:
    while True:  # a byte of another process: one chance in very many
        offset = first + (int.from_bytes(os.urandom(8), "big") >> (64 - bits))
        if _own.lock(path, offset):
            return offset


def _word_in(descriptor: int) -> str:
    """Return the word in a lock file; the process that opens the file first writes it."""
    fcntl.lockf(descriptor, fcntl.LOCK_EX, 1, _WORD_LOCK)
    try:
        if not os.fstat(descriptor).st_size:
            os.pwrite(descriptor, os.urandom(8).hex().encode(), 0)
        return os.pread(descriptor, 16, 0).decode("ascii", "replace")
    finally:
        fcntl.lockf(descriptor, fcntl.LOCK_UN, 1, _WORD_LOCK)


def _own_process() -> list[str]:
    """Return what identifies this process: boot, process namespace, pid, start time."""
    pid = os.getpid()
    started = _start_of(pid)
    return [] if started is None else [*_here(), str(pid), started]


def _is_there(process: list[str]) -> bool:
    """Return True when the process that a run names lives in this namespace."""
    if len(process) != 4 or process[:2] != _here():
        return False
    pid, started = process[2:]
    return pid != str(os.getpid()) and started == _start_of(pid)


def _may_lock_again(file: _LockFile, process: list[str]) -> bool:
    """Return True for a process of another namespace, while the lock file is new."""
    boot_and_namespace = _here()
    if len(process) != 4 or process[:1] != boot_and_namespace[:1]:
        return False
    is_seen = process[:2] == boot_and_namespace
    age = clock.seconds_since(os.fstat(file.descriptor).st_ctime_ns)
    return not is_seen and 0.0 <= age < _LOCKED_AGAIN_WITHIN


def _here() -> list[str]:
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
        return [boot.partition("-")[0], str(Path("/proc/self/ns/pid").stat().st_ino)]
    except OSError:
        return []  # without /proc only the locks count


def _start_of(pid: int | str) -> str | None:
    """Return a process's start time in ticks since the boot; None when gone or a zombie."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_bytes()
    except (OSError, ValueError):
        return None
    state, *fields = stat.rpartition(b")")[2].split()
    return None if state in (b"Z", b"X") else fields[18].decode()


def run_of_this_process(db_path: str | os.PathLike[str]) -> str:
    """Return the run of this process on a database; all its workers share it."""
    return _worker_run(os.getpid(), os.path.realpath(Path(db_path).expanduser())).run


@cache
def _worker_run(_pid: int, path: str) -> RunLock:
    """Return the run of a process, which is in the key because a forked child needs its own."""
    return RunLock(path, "worker")
