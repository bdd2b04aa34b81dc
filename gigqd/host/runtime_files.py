"""Runtime files of one daemon: lock file, pid file, socket and log."""

from __future__ import annotations

import os
import pwd
import stat
import time
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, Self

from gigq.store.sqlite.file.private_files import is_known
from gigqd import exit_codes
from gigqd.config import Config, DaemonConfig
from gigqd.errors import GigqdError
from gigqd.host import pidfile, running_daemons
from gigqd.host.identity import Record, identity_of
from gigqd.host.lock_file import CannotCreate, LockFile, cannot_create, locked_by_another_program
from gigqd.host.ownership import others_may_write
from gigqd.host.running_daemons import AlreadyRunning, AnotherDaemon, Match
from gigqd.logs.sink import open_log

if TYPE_CHECKING:
    from gigqd.host.identity import Identity
    from gigqd.host.running_daemons import RunningDaemon

_LOCK_WAIT = 0.5
_LOCK_RETRY = 0.02
_DIRECTORY_MODE = 0o750


class RuntimeFiles:
    """The files of one daemon in its runtime directory.

    The daemon holds the lock while it runs: "running" means that the lock is held. Without the lock
    no file is written or removed; with it, the pid file and the socket are removed at the end.

    As a context manager it holds the lock inside the block.

    Args:
        config: the whole configuration; the daemon's table alone is enough to find a daemon
            whose configuration has become invalid.

    Attributes:
        identity: the identity of the daemon; None when only its directory is known.
    """

    def __init__(self, config: Config | DaemonConfig) -> None:
        daemon, log_file = _place(config)
        self._set_paths(daemon.runtime_file(".lock"))
        self.log_path = log_file or self.lock_path.with_suffix(".log")
        self.identity = identity_of(config, os.environ) if isinstance(config, Config) else None
        self._accounts = _accounts_of(config, self.identity)

    @classmethod
    def of_running(cls, found: RunningDaemon) -> RuntimeFiles:
        """Return the runtime files of a daemon that was found, wherever they are."""
        place = found.lock.parent
        runtime_files = cls(DaemonConfig(runtime_dir=place, working_directory=place))
        runtime_files._set_paths(found.lock)
        runtime_files.identity = found.identity
        runtime_files._accounts = {found.uid}
        return runtime_files

    def _set_paths(self, lock: Path) -> None:
        self.directory, self.lock_path = lock.parent, lock
        self.pid_path = lock.with_suffix(".pid")
        self.socket_path = lock.with_suffix(".sock")
        self._lock = LockFile(lock)

    # --- holding -----------------------------------------------------------------------------

    def __enter__(self) -> Self:
        self.lock()
        return self

    def __exit__(self, *_error: object) -> None:
        self.release()

    def lock(self) -> None:
        """Take the lock, making the runtime directory when it is missing.

        A start that is about to detach, and a daemon that was just killed, hold it for a moment
        only, so the lock is tried for half a second.

        Raises:
            AlreadyRunning: another process holds it, or the daemon of this file runs elsewhere.
            AnotherDaemon: that process is the daemon of another configuration or database.
            CannotCreate: the directory or the lock cannot be made or used.
        """
        deadline = time.monotonic() + _LOCK_WAIT
        while (refusal := self._refusal()) is not None:
            if time.monotonic() >= deadline:
                raise refusal
            time.sleep(_LOCK_RETRY)

    def _refusal(self) -> GigqdError | None:
        """Take the lock; return the reason why it cannot be taken, or None once it is held."""
        found = None
        with suppress(GigqdError):  # the next error is clearer
            found = self.find_configured()
        # One of the same database and name elsewhere is refused by the lock on the database.
        if found and (found.lock == self.lock_path or found.match(self.identity) is Match.FILE):
            return self._refused_by(found)
        self.prepare_directory()
        if self._lock.take(self._record()):
            return None
        other = running_daemons.at(self.lock_path)
        return self._refused_by(other) if other else locked_by_another_program(self.lock_path)

    def _refused_by(self, running: RunningDaemon) -> GigqdError:
        wanted, theirs = self.identity, running.identity
        if wanted is not None and theirs is not None and not theirs.has_queue_of(wanted):
            return AnotherDaemon(running, theirs, wanted)
        is_here = running.lock == self.lock_path
        deleted = self.directory if is_here and not running_daemons.at(self.lock_path) else None
        file = theirs.other_file_than(wanted) if theirs and wanted else None
        return AlreadyRunning(running, deleted, file)

    def write_pid(self) -> None:
        """Write this process's id into the pid file.

        Raises:
            CannotCreate: the file cannot be written.
        """
        try:
            pidfile.write(self.pid_path)
        except OSError as error:
            raise cannot_create("pid file", self.pid_path, error) from error

    def _record(self) -> Record:
        if self.identity is None:
            raise ValueError("only a whole configuration makes a daemon")
        return Record(str(self.lock_path), self.identity)

    def open_log(self) -> BinaryIO:
        """Open the log for appending; make it if it is missing.

        Raises:
            CannotCreate: it cannot be opened.
        """
        try:
            fd = open_log(self.log_path)
        except OSError as error:
            raise cannot_create("log", self.log_path, error) from error
        return os.fdopen(fd, "ab", buffering=0)

    def repair(self) -> tuple[str, ...]:
        """Restore the directory, the lock and the pid file if they were deleted.

        The lock on the deleted file is kept as well.

        Returns:
            The names of the restored files. The pid file is not touched while another process
            holds the lock there: a start that the database lock is about to refuse.

        Raises:
            CannotCreate: a file cannot be made.
        """
        repaired = []
        if not self.directory.is_dir():
            self._make_directory()
            repaired.append(self.directory.name)
        if not self._lock.is_in_place():
            if not self._lock.take(self._record()):
                return tuple(repaired)
            repaired.append(self.lock_path.name)
        if pidfile.read(self.pid_path) != os.getpid():
            self.write_pid()
            repaired.append(self.pid_path.name)
        return tuple(repaired)

    def is_in_place(self) -> bool:
        """Return True when the lock that this process holds is that of its runtime directory."""
        return self._lock.is_in_place()

    def release(self) -> None:
        """Remove this process's pid file and the socket, then free the lock."""
        if not self._lock.is_ours:
            return
        # An error here must not keep the lock, or hide the error that ended the daemon.
        with suppress(OSError):
            pidfile.remove_own(self.pid_path)
            if self._lock.is_in_place():
                self.socket_path.unlink(missing_ok=True)
        self.abandon()

    def abandon(self) -> None:
        """Free the lock and leave the files."""
        self._lock.abandon()

    # --- searching ---------------------------------------------------------------------------

    def running(self) -> RunningDaemon | None:
        """Return the daemon with these runtime files; None when it does not run.

        A daemon whose runtime files were deleted is found by the file that it still has open.

        Raises:
            GigqdError: this account may not read the lock, or the lock is in a directory where
                every account may create one.
        """
        return self._find(None)

    def find_configured(self) -> RunningDaemon | None:
        """Return the running daemon of this configuration, wherever its files are, or None.

        The configuration may have changed since the start, or the daemon was started with another
        environment. The daemon of another configuration is returned when its files are here.

        Raises:
            GigqdError: as `running`.
        """
        return self._find(self.identity)

    def refuse_taken(self, besides: int | None = None) -> None:
        """Refuse runtime files that another daemon uses.

        Args:
            besides: the process that may use them.

        Raises:
            AlreadyRunning: another process uses them.
            AnotherDaemon: that process is the daemon of another configuration or database.
        """
        running = self.running()
        if running is not None and (running.pid is None or running.pid != besides):
            raise self._refused_by(running)

    def trusts(self, uid: int) -> bool:
        """Return True for root, for this account and for the owners of the daemon's files."""
        known = {0, os.geteuid(), _owner(self.directory), _owner(self.lock_path), *self._accounts}
        return uid in known and is_known(uid)

    def stale_pid(self) -> int | None:
        """Return the process id in a pid file that a dead daemon has left, or None."""
        if not self._lock.is_ours and self.running() is not None:
            return None
        return pidfile.read(self.pid_path)

    def _find(self, wanted: Identity | None) -> RunningDaemon | None:
        self._distrust_directory()
        return running_daemons.find(self.lock_path, wanted, self.trusts)

    def _distrust_directory(self) -> None:
        with suppress(FileNotFoundError, NotADirectoryError, PermissionError):
            if self.directory.stat().st_mode & stat.S_IWOTH:
                raise GigqdError(
                    f"cannot trust what is in {self.directory}: every account may write in it",
                    exit_code=exit_codes.NOT_PERMITTED,
                )

    # --- the directory -----------------------------------------------------------------------

    def _make_directory(self) -> os.stat_result:
        try:
            self.directory.mkdir(mode=_DIRECTORY_MODE, parents=True, exist_ok=True)
            return self.directory.stat()
        except OSError as error:
            raise cannot_create("runtime directory", self.directory, error) from error

    def prepare_directory(self) -> None:
        """Make the runtime directory if it is missing.

        Raises:
            CannotCreate: it cannot be made or used.
        """
        found = self._make_directory()
        why = _distrust(found)
        if why is None and not os.access(self.directory, os.W_OK | os.X_OK):
            why = "not writable"
        if why:
            raise CannotCreate(f"cannot use runtime directory {self.directory}: {why}")


def _place(config: Config | DaemonConfig) -> tuple[DaemonConfig, Path | None]:
    if isinstance(config, Config):
        return config.daemon, config.log.file
    return config, None


def _accounts_of(config: Config | DaemonConfig, identity: Identity | None) -> set[int | None]:
    """Return the accounts that may have started the daemon of a configuration."""
    if identity is None or not isinstance(config, Config):
        return set()
    owners = {_owner(Path(path)) for path in (identity.place, identity.config) if path}
    with suppress(KeyError):
        owners.add(pwd.getpwnam(config.daemon.user).pw_uid if config.daemon.user else None)
    return owners


def _distrust(found: os.stat_result) -> str | None:
    """Return why another account can have created files in a directory, or None."""
    if found.st_uid not in (0, os.geteuid()) or not is_known(found.st_uid):
        return f"it belongs to user id {found.st_uid}, not to {os.geteuid()}"
    if found.st_mode & stat.S_IWOTH:
        return "every account may write in it; give the daemon a directory of its own"
    if os.geteuid() == 0 and others_may_write(found):
        return f"group id {found.st_gid} may write in it; give the daemon a directory of its own"
    return None


def _owner(path: Path) -> int | None:
    try:
        return path.lstat().st_uid
    except OSError:
        return None
