"""The runtime files of one daemon, and the lock among them that decides who runs."""

from __future__ import annotations

import errno
import fcntl
import os
import socket
import stat
import struct
import time
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, BinaryIO

import psutil

from gigqd import exits, pidfile
from gigqd.config import Config, DaemonConfig
from gigqd.control import address
from gigqd.errors import GigqdError

if TYPE_CHECKING:
    from pathlib import Path

    from gigqd.pidfile import PidNote

_LOCK_PATIENCE = 0.5
_LOCK_RETRY = 0.02
_DIRECTORY_MODE = 0o750
_FILE_MODE = 0o640
_CREDENTIALS = struct.Struct("3i")


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


@dataclass(frozen=True, slots=True)
class RunningInstance:
    """The process that holds the lock; None for what cannot be told."""

    pid: int | None
    start_ticks: int | None
    since: datetime | None

    def __str__(self) -> str:
        if self.pid is None:
            return "pid unknown"
        if self.since is None:
            return f"pid {self.pid}"
        return f"pid {self.pid}, since {self.since.astimezone().isoformat(' ', 'seconds')}"


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
        if _listener(self.socket_path).exists:
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
            fd = os.open(self.log_path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, _FILE_MODE)
        except OSError as error:
            raise _cannot_create("log", self.log_path, error) from error
        return os.fdopen(fd, "ab", buffering=0)

    def repair(self) -> tuple[str, ...]:
        """Put back the lock and the pid file when somebody has deleted or replaced them.

        The old lock is kept as well: giving it up could only help a second daemon.

        Returns:
            The names of the files that were put back.

        Raises:
            CannotCreate: a file cannot be made.
        """
        repaired = []
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
            GigqdError: the lock cannot be looked at, as by a user without access.
        """
        if self._is_held() or _listener(self.socket_path).exists:
            return self._holder()
        return None

    def stale_pid(self) -> int | None:
        """The process id in a pid file that a dead daemon has left; None when there is none."""
        if self._fd is None and self.running() is not None:
            return None
        note = pidfile.read(self.pid_path)
        return note.pid if note else None

    # --- the lock ----------------------------------------------------------------------------

    def _try_lock(self) -> bool:
        flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
        try:
            fd = os.open(self.lock_path, flags, _FILE_MODE)
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
            fd = os.open(self.lock_path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
        except (FileNotFoundError, NotADirectoryError):
            return False
        except OSError as error:
            raise GigqdError(
                f"cannot look at the lock {self.lock_path}: {error.strerror}",
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

    def _prepare_directory(self) -> None:
        try:
            self.directory.mkdir(mode=_DIRECTORY_MODE, parents=True, exist_ok=True)
            found = self.directory.stat()
        except OSError as error:
            raise _cannot_create("runtime directory", self.directory, error) from error
        why = _distrust(found)
        if why is None and not os.access(self.directory, os.W_OK | os.X_OK):
            why = "not writable"
        if why:
            raise CannotCreate(f"cannot use runtime directory {self.directory}: {why}")

    # --- who holds it ------------------------------------------------------------------------

    def _holder(self) -> RunningInstance:
        note = pidfile.read(self.pid_path)
        if note is not None and self._is_holder(note):
            return _describe(note.pid)
        return _describe(_listener(self.socket_path).pid)

    def _is_holder(self, note: PidNote) -> bool:
        """Whether the noted process lives, is the same one, and has the lock file open."""
        if not note.names_a_live_process():
            return False
        try:
            lock = self.lock_path.stat()
            fds = os.listdir(f"/proc/{note.pid}/fd")  # noqa: PTH208 - names, not paths
        except PermissionError:
            return True  # another user's daemon: its start time must do
        except OSError:
            return False
        return any(_is_open_at(f"/proc/{note.pid}/fd/{fd}", lock) for fd in fds)


def _place(config: Config | DaemonConfig) -> tuple[DaemonConfig, Path | None]:
    if isinstance(config, Config):
        return config.daemon, config.log.file
    return config, None


@dataclass(frozen=True, slots=True)
class _Listener:
    exists: bool
    pid: int | None = None


def _listener(path: Path) -> _Listener:
    """Who listens on a socket, as the kernel tells it."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_NONBLOCK) as probe:
        try:
            with address(path) as name:
                probe.connect(name)
        except BlockingIOError:  # its queue is full: it is there, and does not answer
            return _Listener(exists=True)
        except OSError:
            return _Listener(exists=False)
        peer = probe.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size)
    pid, _uid, _gid = _CREDENTIALS.unpack(peer)
    return _Listener(exists=True, pid=pid or None)


def _describe(pid: int | None) -> RunningInstance:
    if pid is None:
        return RunningInstance(None, None, None)
    return RunningInstance(pid, pidfile.ticks_of(pid), _started_at(pid))


def _started_at(pid: int) -> datetime | None:
    with suppress(psutil.Error):
        return datetime.fromtimestamp(psutil.Process(pid).create_time(), UTC)
    return None


def _distrust(found: os.stat_result) -> str | None:
    """Why files in a directory could be somebody else's; None when they cannot."""
    if found.st_uid not in (0, os.geteuid()) and os.geteuid() != 0:
        return f"it belongs to user id {found.st_uid}, not to {os.geteuid()}"
    if found.st_mode & stat.S_IWOTH:
        return "everybody may write in it; give the daemon a directory of its own"
    return None


def _is_same_file(fd: int, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(fd), path.lstat())
    except FileNotFoundError:
        return False


def _is_open_at(link: str, wanted: os.stat_result) -> bool:
    try:
        return os.path.samestat(os.stat(link), wanted)  # noqa: PTH116 - follows the magic link
    except OSError:
        return False


def _cannot_create(what: str, path: Path, error: OSError) -> CannotCreate:
    reason = error.strerror or errno.errorcode.get(error.errno or 0, "unknown reason")
    return CannotCreate(f"cannot create {what} {path}: {reason}")
