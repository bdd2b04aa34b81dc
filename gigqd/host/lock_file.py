"""Lock file of a daemon: locked while it runs, with the identity of the daemon as its text.

The lock is a record lock on one byte, so that the kernel names the process that holds it
(`F_GETLK`), also to an account that may only read the file. A fork does not inherit it. The process
that holds it opens the file through `LockFile` only: closing another descriptor would free it.
"""

from __future__ import annotations

import errno
import fcntl
import os
import stat
from typing import TYPE_CHECKING

from gigq.store.sqlite.file import record_lock
from gigq.store.sqlite.file.private_files import is_at
from gigqd import exit_codes
from gigqd.errors import GigqdError
from gigqd.host.identity import write_record

if TYPE_CHECKING:
    from pathlib import Path

    from gigq.store.sqlite.file.record_lock import RecordLock
    from gigqd.host.identity import Record

BYTE = 1 << 62
"""Offset of the byte that a daemon locks, which no other program locks and /proc/locks shows."""

_FILE_MODE = 0o640
# Without O_NONBLOCK, opening a FIFO in its place would block.
OPEN_FLAGS = os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC


class CannotCreate(GigqdError):  # noqa: N818 - a sentence, as the library's errors are
    """A runtime file or directory cannot be made or used."""

    exit_code = exit_codes.CANNOT_CREATE


class OlderDaemon(GigqdError):  # noqa: N818 - a sentence, as the library's errors are
    """A gigqd of an older version holds the lock, in a form that commands cannot read.

    Args:
        path: the lock file.
    """

    exit_code = exit_codes.ALREADY_RUNNING

    def __init__(self, path: Path) -> None:
        super().__init__(
            f"a gigqd of an older version holds {path}, and this version cannot reach it; stop it "
            f"with `kill -TERM PID`, which lets jobs finish (`fuser {path}` shows the PID), and "
            "then run `gigqd start`"
        )


class LockFile:
    """A lock file, whose lock one process holds.

    Args:
        path: the file; its directory must exist when the lock is taken.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._descriptor = -1
        self._holder: int | None = None

    @property
    def is_ours(self) -> bool:
        """True when this process holds the lock; a forked child does not."""
        return self._holder == os.getpid()

    def take(self, record: Record) -> bool:
        """Lock the file, which is made if missing; return False when another process holds it.

        Args:
            record: the new text of the file.

        Raises:
            CannotCreate: the file cannot be made, locked or written.
            OlderDaemon: a gigqd of an older version holds the lock.
        """
        while (descriptor := self._lock_one()) is not None:
            # The file may have been replaced between opening and locking it.
            if is_at(self.path, descriptor):
                self._descriptor, self._holder = descriptor, os.getpid()
                self._write(record)
                return True
            os.close(descriptor)
        return False

    def is_in_place(self) -> bool:
        """Return True when the file at the path is the one whose lock this process holds."""
        return self.is_ours and is_at(self.path, self._descriptor)

    def abandon(self) -> None:
        """Free the lock."""
        if self.is_ours:
            os.close(self._descriptor)
            self._holder = None

    def _lock_one(self) -> int | None:
        """Return a descriptor of the file, locked; None when another process holds the lock."""
        try:
            descriptor = os.open(self.path, os.O_RDWR | os.O_CREAT | OPEN_FLAGS, _FILE_MODE)
            _must_be_regular(descriptor)
        except OSError as error:
            raise cannot_create("lock", self.path, error) from error
        taken = False
        try:
            refuse_older_daemon(descriptor, self.path)
            taken = record_lock.take(descriptor, BYTE)
        except OSError as error:
            raise CannotCreate(
                f"cannot lock {self.path}: {error.strerror}; "
                "set daemon.runtime_dir to a directory on a local file system"
            ) from error
        finally:
            if not taken:
                os.close(descriptor)
        return descriptor if taken else None

    def _write(self, record: Record) -> None:
        try:
            write_record(self._descriptor, record)
        except OSError as error:
            raise cannot_create("lock", self.path, error) from error


def refuse_older_daemon(descriptor: int, path: Path) -> None:
    """Refuse a lock file that is locked with flock(2), as gigqd did before it used record locks.

    Raises:
        OlderDaemon: it is.
        OSError: the file system has no locks.
    """
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        raise OlderDaemon(path) from None
    fcntl.flock(descriptor, fcntl.LOCK_UN)


def is_a_daemons(lock: RecordLock) -> bool:
    """Return True for the lock of a daemon; another program's is shared, or on the whole file."""
    return (lock.kind, lock.first, lock.length) == (fcntl.F_WRLCK, BYTE, 1)


def locked_by_another_program(path: Path) -> CannotCreate:
    """Return the error for a lock file that is locked, but not by a daemon."""
    return CannotCreate(
        f"cannot lock {path}: another program than gigqd holds a lock on it; end that program "
        f"(`fuser {path}` shows it)"
    )


def cannot_create(what: str, path: Path, error: OSError) -> CannotCreate:
    """Return the error for a runtime file that cannot be made."""
    return CannotCreate(f"cannot create {what} {path}: {reason(error)}")


def reason(error: OSError) -> str:
    """Return why a runtime file cannot be opened, in words."""
    if error.errno == errno.ELOOP:
        return "it is a symbolic link; remove it"
    return error.strerror or errno.errorcode.get(error.errno or 0, "unknown reason")


def _must_be_regular(descriptor: int) -> None:
    """Close a descriptor and raise an error when it is not of a regular file."""
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise OSError(errno.EINVAL, "it is not a plain file; remove it")
