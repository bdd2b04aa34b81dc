"""The lock file of a daemon: held for as long as it runs, with a note of which daemon it is."""

from __future__ import annotations

import errno
import fcntl
import os
import stat
from typing import TYPE_CHECKING

from gigqd import exits
from gigqd.errors import GigqdError
from gigqd.identity import read_note_at, write_note

if TYPE_CHECKING:
    from pathlib import Path

    from gigqd.identity import LockNote

_FILE_MODE = 0o640
# Without O_NONBLOCK a FIFO in its place would hold the reader for ever.
_FLAGS = os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC


class CannotCreate(GigqdError):  # noqa: N818 - a sentence, as the library's errors are
    """A runtime file or directory cannot be made or used."""

    exit_code = exits.CANNOT_CREATE


class LockFile:
    """A file whose lock one process holds.

    Args:
        path: the file; its directory is there when the lock is taken.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._fd: int | None = None

    @property
    def is_ours(self) -> bool:
        """Whether this process has taken the lock."""
        return self._fd is not None

    @property
    def descriptor(self) -> int:
        """The descriptor that holds the lock. A child must close it, or it keeps the lock."""
        if self._fd is None:
            raise RuntimeError(f"{self.path} is not locked by this process")
        return self._fd

    def take(self) -> bool:
        """Take the lock of the file at the path, made when it is missing; False when it is held.

        Raises:
            CannotCreate: the file cannot be made or locked.
        """
        try:
            fd = os.open(self.path, os.O_RDWR | os.O_CREAT | _FLAGS, _FILE_MODE)
            _must_be_regular(fd)
        except OSError as error:
            raise cannot_create("lock", self.path, error) from error
        taken = False
        try:
            # The file may have been replaced between opening and locking it.
            taken = self._flock(fd, fcntl.LOCK_EX) and _is_same_file(fd, self.path)
        finally:
            if not taken:
                os.close(fd)
        if taken:
            self._fd = fd
        return taken

    def is_held(self) -> bool:
        """Return True when another process holds the lock.

        Raises:
            GigqdError: this account may not look.
        """
        try:
            fd = os.open(self.path, os.O_RDONLY | _FLAGS)
        except (FileNotFoundError, NotADirectoryError):
            return False
        except OSError as error:
            raise GigqdError(
                f"cannot look at the lock {self.path}: {reason(error)}",
                exit_code=exits.NOT_PERMITTED,
            ) from error
        try:
            return not self._flock(fd, fcntl.LOCK_SH)
        finally:
            os.close(fd)

    def is_in_place(self) -> bool:
        """Return True when the file at the path is the one whose lock this process holds."""
        return _is_same_file(self.descriptor, self.path)

    def write(self, note: LockNote) -> None:
        """Replace what the file says.

        Raises:
            CannotCreate: it cannot be written.
        """
        try:
            write_note(self.descriptor, note)
        except OSError as error:
            raise cannot_create("lock", self.path, error) from error

    def read(self) -> LockNote | None:
        """Return what the file at the path says; None when there is none, or it says nothing."""
        return read_note_at(self.path)

    def abandon(self) -> None:
        """Close this process's handle on the lock; what inherited one keeps holding it."""
        if self._fd is not None:
            os.close(self._fd)
            self._fd = None

    def _flock(self, fd: int, how: int) -> bool:
        try:
            fcntl.flock(fd, how | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        except OSError as error:
            raise CannotCreate(
                f"cannot lock {self.path}: {error.strerror}; "
                "set daemon.runtime_dir to a directory on a local file system"
            ) from error
        return True


def locked_by_a_reader(path: Path) -> CannotCreate:
    """Return the error for a lock file on which another program holds a shared lock."""
    return CannotCreate(
        f"cannot lock {path}: a program that is no gigqd holds a shared lock on it; end that "
        f"program (`fuser {path}` shows it)"
    )


def cannot_create(what: str, path: Path, error: OSError) -> CannotCreate:
    """Return the error for a runtime file that cannot be made."""
    return CannotCreate(f"cannot create {what} {path}: {reason(error)}")


def reason(error: OSError) -> str:
    """Return why a runtime file cannot be opened, in words."""
    if error.errno == errno.ELOOP:
        return "it is a symbolic link; remove it"
    return error.strerror or errno.errorcode.get(error.errno or 0, "unknown reason")


def _is_same_file(fd: int, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(fd), path.lstat())
    except FileNotFoundError:
        return False


def _must_be_regular(fd: int) -> None:
    """Close what is no plain file again, and say so."""
    if not stat.S_ISREG(os.fstat(fd).st_mode):
        os.close(fd)
        raise OSError(errno.EINVAL, "it is not a plain file; remove it")
