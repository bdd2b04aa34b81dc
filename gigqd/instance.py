"""The runtime files of one daemon, and the lock among them that decides who runs."""

from __future__ import annotations

import errno
import fcntl
import os
import stat
import time
from contextlib import suppress
from typing import TYPE_CHECKING, BinaryIO

from gigq.store.private_files import is_known
from gigqd import exits, pidfile
from gigqd.config import Config, DaemonConfig
from gigqd.errors import GigqdError
from gigqd.logs.sink import open_log
from gigqd.ownership import others_may_write
from gigqd.presence import describe, has_open, listener

if TYPE_CHECKING:
    from pathlib import Path

    from gigqd.presence import Listener, RunningInstance

_LOCK_PATIENCE = 0.5
_LOCK_RETRY = 0.02
_DIRECTORY_MODE = 0o750
_FILE_MODE = 0o640


class CannotCreate(GigqdError):  # noqa: N818 - a sentence, as the library's errors are
    """A runtime file or directory cannot be made or used."""

    exit_code = exits.CANNOT_CREATE


class AlreadyRunning(GigqdError):  # noqa: N818 - a sentence, as the library's errors are
    """Another process holds this instance's lock.

    Parameters:
        running: what is known of the holder.
    """

    exit_code = exits.ALREADY_RUNNING

    def __init__(self, running: RunningInstance) -> None:
        self.pid = running.pid
        self.since = running.since
        super().__init__(f"already running ({running})")


class Instance:
    """One daemon's place in its runtime directory.

    1. Holds the lock for as long as the daemon runs; a held lock is what "running" means.
    2. Notes the pid and start time for people and for `stop --force`.
    3. Finds out who else holds the lock.
    4. Leaves nothing behind, and touches nothing without the lock.

    Parameters:
        config: the whole configuration; the daemon's table alone is enough to find a daemon
            whose configuration has become invalid.
    """

    def __init__(self, config: Config | DaemonConfig) -> None:
        daemon, log_file = _place(config)
        stem = "gigqd" if daemon.name == "default" else f"gigqd-{daemon.name}"
        self.directory = daemon.runtime_dir
        self.lock_path = self.directory / f"{stem}.lock"
        self.pid_path = self.directory / f"{stem}.pid"
        self.socket_path = self.directory / f"{stem}.sock"
        self.log_path = log_file or self.directory / f"{stem}.log"
        self._fd: int | None = None

    @property
    def lock_fd(self) -> int:
        """The descriptor that holds the lock. A child must close it, or it keeps the lock."""
        if self._fd is None:
            raise RuntimeError(f"{self.lock_path} is not locked by this process")
        return self._fd

    # --- holding -----------------------------------------------------------------------------

    def lock(self) -> None:
        """Take the lock, making the runtime directory when it is missing.

        A client that only looks holds the lock for an instant, so a held lock is tried again
        for half a second.

        Raises:
            AlreadyRunning: another process holds it, or still listens on the control socket.
            CannotCreate: the directory or the lock cannot be made or used.
        """
        self._prepare_directory()
        deadline = time.monotonic() + _LOCK_PATIENCE
        while not self._try_lock():
            if time.monotonic() >= deadline:
                raise AlreadyRunning(self._holder())
            time.sleep(_LOCK_RETRY)
        # Somebody may have deleted the lock file of a running daemon: the lock just taken is a
        # new one then, but the old daemon still listens.
        if self._listener().exists:
            self.abandon()
            raise AlreadyRunning(self._holder())

    def write_pid(self) -> None:
        """Note this process's id and start time.

        Raises:
            CannotCreate: the file cannot be written.
        """
        try:
            pidfile.write(self.pid_path)
        except OSError as error:
            raise _cannot_create("pid file", self.pid_path, error) from error

    def open_log(self) -> BinaryIO:
        """Open the log for appending, made when it is missing.

        Raises:
            CannotCreate: it cannot be opened.
        """
        try:
            fd = open_log(self.log_path)
        except OSError as error:
            raise _cannot_create("log", self.log_path, error) from error
        return os.fdopen(fd, "ab", buffering=0)

    def repair(self) -> tuple[str, ...]:
        """Put back the directory, the lock and the pid file when somebody has taken them away.

        The old lock is kept as well: giving it up could only help a second daemon.

        Returns:
            The names of the files that were put back.

        Raises:
            CannotCreate: a file cannot be made.
        """
        repaired = []
        if not self.directory.is_dir():
            self._make_directory()
            repaired.append(self.directory.name)
        if not _is_same_file(self.lock_fd, self.lock_path) and self._try_lock():
            repaired.append(self.lock_path.name)
        note = pidfile.read(self.pid_path)
        if note is None or note.pid != os.getpid():
            self.write_pid()
            repaired.append(self.pid_path.name)
        return tuple(repaired)

    def release(self) -> None:
        """Remove this process's pid file and the socket, then give up the lock."""
        if self._fd is None:
            return
        # A folder that cannot be written in any more must not keep the lock held, nor hide the
        # error that ended the daemon.
        with suppress(OSError):
            pidfile.remove_own(self.pid_path)
            # The socket of a daemon whose runtime files had been deleted may be back already.
            if not self._listener().exists:
                self.socket_path.unlink(missing_ok=True)
        self.abandon()

    def abandon(self) -> None:
        """Close this process's handle on the lock; whoever inherited one keeps holding it."""
        if self._fd is not None:
            os.close(self._fd)
            self._fd = None

    # --- looking -----------------------------------------------------------------------------

    def running(self) -> RunningInstance | None:
        """Who holds the lock, or None when nobody does.

        Raises:
            GigqdError: the lock cannot be looked at, as by a user without access, or is in a
                directory where anybody may put one.
        """
        self._distrust_directory()
        if self._is_held() or self._listener().exists:
            return self._holder()
        return None

    def trusts(self, uid: int) -> bool:
        """Whether the daemon may run as this user: root, we, or who owns its lock or directory."""
        known = {0, os.geteuid(), _owner(self.directory), _owner(self.lock_path)}
        return uid in known and is_known(uid)

    def stale_pid(self) -> int | None:
        """The process id in a pid file that a dead daemon has left; None when there is none."""
        if self._fd is None and self.running() is not None:
            return None
        note = pidfile.read(self.pid_path)
        return note.pid if note else None

    def _distrust_directory(self) -> None:
        with suppress(FileNotFoundError, NotADirectoryError, PermissionError):
            if self.directory.stat().st_mode & stat.S_IWOTH:
                raise GigqdError(
                    f"cannot trust what is in {self.directory}: everybody may write in it",
                    exit_code=exits.NOT_PERMITTED,
                )

    # --- the lock ----------------------------------------------------------------------------

    def _try_lock(self) -> bool:
        flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
        try:
            fd = os.open(self.lock_path, flags, _FILE_MODE)
            _must_be_regular(fd)
        except OSError as error:
            raise _cannot_create("lock", self.lock_path, error) from error
        taken = False
        try:
            # The file may have been replaced between opening and locking it.
            taken = self._flock(fd, fcntl.LOCK_EX) and _is_same_file(fd, self.lock_path)
        finally:
            if not taken:
                os.close(fd)
        if taken:
            self._fd = fd
        return taken

    def _is_held(self) -> bool:
        try:
            # Without O_NONBLOCK a FIFO in its place would hold the reader for ever.
            flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
            fd = os.open(self.lock_path, flags)
        except (FileNotFoundError, NotADirectoryError):
            return False
        except OSError as error:
            raise GigqdError(
                f"cannot look at the lock {self.lock_path}: {_reason(error)}",
                exit_code=exits.NOT_PERMITTED,
            ) from error
        try:
            return not self._flock(fd, fcntl.LOCK_SH)
        finally:
            os.close(fd)

    def _flock(self, fd: int, how: int) -> bool:
        try:
            fcntl.flock(fd, how | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        except OSError as error:
            raise CannotCreate(
                f"cannot lock {self.lock_path}: {error.strerror}; "
                "set daemon.runtime_dir to a directory on a local file system"
            ) from error
        return True

    def _make_directory(self) -> os.stat_result:
        try:
            self.directory.mkdir(mode=_DIRECTORY_MODE, parents=True, exist_ok=True)
            return self.directory.stat()
        except OSError as error:
            raise _cannot_create("runtime directory", self.directory, error) from error

    def _prepare_directory(self) -> None:
        found = self._make_directory()
        why = _distrust(found)
        if why is None and not os.access(self.directory, os.W_OK | os.X_OK):
            why = "not writable"
        if why:
            raise CannotCreate(f"cannot use runtime directory {self.directory}: {why}")

    # --- who holds it ------------------------------------------------------------------------

    def _holder(self) -> RunningInstance:
        note = pidfile.read(self.pid_path)
        if note is not None and has_open(note, self.lock_path):
            return describe(note.pid)
        return describe(self._listener().pid)

    def _listener(self) -> Listener:
        return listener(self.socket_path, self.trusts)


def _place(config: Config | DaemonConfig) -> tuple[DaemonConfig, Path | None]:
    if isinstance(config, Config):
        return config.daemon, config.log.file
    return config, None


def _distrust(found: os.stat_result) -> str | None:
    """Why files in a directory could be somebody else's; None when they cannot."""
    if found.st_uid not in (0, os.geteuid()) or not is_known(found.st_uid):
        return f"it belongs to user id {found.st_uid}, not to {os.geteuid()}"
    if found.st_mode & stat.S_IWOTH:
        return "everybody may write in it; give the daemon a directory of its own"
    if os.geteuid() == 0 and others_may_write(found):
        return f"group id {found.st_gid} may write in it; give the daemon a directory of its own"
    return None


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


def _owner(path: Path) -> int | None:
    try:
        return path.lstat().st_uid
    except OSError:
        return None


def _cannot_create(what: str, path: Path, error: OSError) -> CannotCreate:
    return CannotCreate(f"cannot create {what} {path}: {_reason(error)}")


def _reason(error: OSError) -> str:
    if error.errno == errno.ELOOP:
        return "it is a symbolic link; remove it"
    return error.strerror or errno.errorcode.get(error.errno or 0, "unknown reason")
