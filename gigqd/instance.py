"""The runtime files of one daemon, and the lock among them that decides who runs."""

from __future__ import annotations

import os
import pwd
import stat
import time
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from gigq.store.private_files import is_known
from gigqd import exits, pidfile, running_daemons
from gigqd.config import Config, DaemonConfig
from gigqd.errors import GigqdError
from gigqd.identity import LockNote, identity_of
from gigqd.lock_file import CannotCreate, LockFile, cannot_create, locked_by_a_reader
from gigqd.logs.sink import open_log
from gigqd.ownership import others_may_write
from gigqd.presence import AlreadyRunning, AnotherDaemon, describe, has_open, listener

if TYPE_CHECKING:
    from collections.abc import Callable

    from gigqd.identity import Identity
    from gigqd.presence import Listener, RunningInstance
    from gigqd.running_daemons import RunningDaemon

_LOCK_PATIENCE = 0.5
_LOCK_RETRY = 0.02
_DIRECTORY_MODE = 0o750


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
        self.identity = identity_of(config, os.environ) if isinstance(config, Config) else None
        stem = "gigqd" if daemon.name == "default" else f"gigqd-{daemon.name}"
        self.directory = daemon.runtime_dir
        self.lock_path = self.directory / f"{stem}.lock"
        self.pid_path = self.directory / f"{stem}.pid"
        self.socket_path = self.directory / f"{stem}.sock"
        self.log_path = log_file or self.directory / f"{stem}.log"
        self._accounts = _accounts_of(config, self.identity)
        self._lock = LockFile(self.lock_path)

    @classmethod
    def of_running(cls, found: RunningDaemon) -> Instance:
        """Return the runtime files of a daemon that was found, wherever they are."""
        place = Path(found.note.lock).parent
        name = found.note.identity.name if found.note.identity else "default"
        instance = cls(DaemonConfig(name=name, runtime_dir=place, working_directory=place))
        instance.identity = found.note.identity
        instance._accounts = {found.uid}
        return instance

    @property
    def lock_fd(self) -> int:
        """The descriptor that holds the lock. A child must close it, or it keeps the lock."""
        return self._lock.descriptor

    # --- holding -----------------------------------------------------------------------------

    def lock(self) -> None:
        """Take the lock, making the runtime directory when it is missing.

        A client that only looks holds the lock for an instant, so a held lock is tried again
        for half a second.

        Raises:
            AlreadyRunning: another process holds it, or still listens on the control socket.
            AnotherDaemon: that process is the daemon of another configuration or database.
            CannotCreate: the directory or the lock cannot be made or used.
        """
        deadline = time.monotonic() + _LOCK_PATIENCE
        while (refusal := self._refusal()) is not None:
            if time.monotonic() >= deadline:
                raise refusal
            time.sleep(_LOCK_RETRY)
        self._lock.write(self._own_note())

    def _refusal(self) -> GigqdError | None:
        """Take the lock; say why it cannot be taken, or None once it is held."""
        if (other := self._find(self._is_same_daemon)) is not None:
            return self._refused_by(describe(other.pid), other.note)
        self.prepare_directory()
        if not self._lock.take():
            if not self._lock.is_held():
                return locked_by_a_reader(self.lock_path)
            return self._refused_by(self._holder(), self._lock.read())
        # The lock file of a running daemon may have been deleted: the lock just taken is a new one
        # then, but the old daemon still listens.
        if self._listener().exists:
            self.abandon()
            return AlreadyRunning(self._holder())
        return None

    def _is_same_daemon(self, note: LockNote) -> bool:
        """Return True for the daemon of this place, or of this configuration file."""
        wanted, theirs = self.identity, note.identity
        if note.lock == str(self.lock_path):
            return True
        return wanted is not None and theirs is not None and theirs.has_file_of(wanted)

    def _refused_by(self, running: RunningInstance, note: LockNote | None) -> GigqdError:
        wanted, theirs = self.identity, note.identity if note else None
        if note is None or wanted is None or theirs is None or theirs.has_queue_of(wanted):
            is_here = note is not None and note.lock == str(self.lock_path)
            deleted = self.directory if is_here and not self._lock.is_held() else None
            file = theirs.other_file_than(wanted) if theirs else None
            return AlreadyRunning(running, deleted, file)
        # A directory that was moved is named as it is now.
        place = self.directory if self._lock.is_held() else Path(note.lock).parent
        return AnotherDaemon(running, theirs, wanted, place)

    def write_pid(self) -> None:
        """Note this process's id in the pid file, and with its start time in the lock file.

        Raises:
            CannotCreate: a file cannot be written.
        """
        self._lock.write(self._own_note().of_this_process())
        try:
            pidfile.write(self.pid_path)
        except OSError as error:
            raise cannot_create("pid file", self.pid_path, error) from error

    def _own_note(self) -> LockNote:
        return LockNote(str(self.lock_path), self.identity)

    def open_log(self) -> BinaryIO:
        """Open the log for appending, made when it is missing.

        Raises:
            CannotCreate: it cannot be opened.
        """
        try:
            fd = open_log(self.log_path)
        except OSError as error:
            raise cannot_create("log", self.log_path, error) from error
        return os.fdopen(fd, "ab", buffering=0)

    def repair(self) -> tuple[str, ...]:
        """Put back the directory, the lock and the pid file when they were deleted.

        The old lock is kept as well: giving it up could only help a second daemon.

        Returns:
            The names of the files that were put back. The pid file is not touched while another
            process holds the lock there: a start that the fence is about to refuse.

        Raises:
            CannotCreate: a file cannot be made.
        """
        repaired = []
        if not self.directory.is_dir():
            self._make_directory()
            repaired.append(self.directory.name)
        if not self._lock.is_in_place():
            if not self._lock.take():
                return tuple(repaired)
            self._lock.write(self._own_note().of_this_process())
            repaired.append(self.lock_path.name)
        if pidfile.read(self.pid_path) != os.getpid():
            self.write_pid()
            repaired.append(self.pid_path.name)
        return tuple(repaired)

    def is_in_place(self) -> bool:
        """Return True when the lock that this process holds is that of its runtime directory."""
        return self._lock.is_in_place()

    def refuse_taken(self, besides: int | None) -> None:
        """Refuse a place where another daemon runs.

        Args:
            besides: the process that may run there.

        Raises:
            AlreadyRunning: another process runs there.
            AnotherDaemon: that process is the daemon of another configuration or database.
        """
        running = self.running()
        if running is not None and running.pid != besides:
            raise self._refused_by(running, self.note())

    def release(self) -> None:
        """Remove this process's pid file and the socket, then give up the lock."""
        if not self._lock.is_ours:
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
        """Close this process's handle on the lock; what inherited one keeps holding it."""
        self._lock.abandon()

    # --- looking -----------------------------------------------------------------------------

    def running(self) -> RunningInstance | None:
        """Return the process that holds the lock; None when the daemon does not run.

        A daemon whose runtime files were deleted is found by what it still has open.

        Raises:
            GigqdError: the lock cannot be looked at, as by a user without access, or is in a
                directory where anybody may put one.
        """
        self._distrust_directory()
        if self._lock.is_held() or self._listener().exists:
            return self._holder()
        found = self._find_here()
        return describe(found.pid) if found else None

    def note(self) -> LockNote | None:
        """Return what the daemon of this place has written into its lock file, also if deleted."""
        if (written := self._lock.read()) is not None:
            return written
        found = self._find_here()
        return found.note if found else None

    def elsewhere(self) -> Instance | None:
        """Return the place of the running daemon that is meant, when it is not this one.

        The configuration may have changed since the start, or the daemon was started with another
        environment. A daemon of the same file comes before one of the same database and name.
        """
        wanted = self.identity
        if wanted is None:
            return None
        found = self._find(lambda note: bool(note.identity and note.identity.has_file_of(wanted)))
        if found is None:
            found = self._find(
                lambda note: bool(note.identity and note.identity.has_queue_of(wanted))
            )
        return Instance.of_running(found) if found else None

    def trusts(self, uid: int) -> bool:
        """Return True when the daemon may run as a user: root, this one, the owner of its files."""
        known = {0, os.geteuid(), _owner(self.directory), _owner(self.lock_path), *self._accounts}
        return uid in known and is_known(uid)

    def _find(self, is_wanted: Callable[[LockNote], bool]) -> RunningDaemon | None:
        return running_daemons.find(is_wanted, self.trusts)

    def _find_here(self) -> RunningDaemon | None:
        return self._find(lambda note: note.lock == str(self.lock_path))

    def stale_pid(self) -> int | None:
        """The process id in a pid file that a dead daemon has left; None when there is none."""
        if not self._lock.is_ours and self.running() is not None:
            return None
        return pidfile.read(self.pid_path)

    def _distrust_directory(self) -> None:
        with suppress(FileNotFoundError, NotADirectoryError, PermissionError):
            if self.directory.stat().st_mode & stat.S_IWOTH:
                raise GigqdError(
                    f"cannot trust what is in {self.directory}: everybody may write in it",
                    exit_code=exits.NOT_PERMITTED,
                )

    # --- the directory -----------------------------------------------------------------------

    def _make_directory(self) -> os.stat_result:
        try:
            self.directory.mkdir(mode=_DIRECTORY_MODE, parents=True, exist_ok=True)
            return self.directory.stat()
        except OSError as error:
            raise cannot_create("runtime directory", self.directory, error) from error

    def prepare_directory(self) -> None:
        """Make the runtime directory when it is missing.

        Raises:
            CannotCreate: it cannot be made or used.
        """
        found = self._make_directory()
        why = _distrust(found)
        if why is None and not os.access(self.directory, os.W_OK | os.X_OK):
            why = "not writable"
        if why:
            raise CannotCreate(f"cannot use runtime directory {self.directory}: {why}")

    # --- who holds it ------------------------------------------------------------------------

    def _holder(self) -> RunningInstance:
        note = self.note()
        if note is not None and has_open(note, self.lock_path):
            return describe(note.pid)
        if (listening := self._listener().pid) is not None:
            return describe(listening)
        found = self._find_here()
        return describe(found.pid if found else None)

    def _listener(self) -> Listener:
        return listener(self.socket_path, self.trusts)


def _place(config: Config | DaemonConfig) -> tuple[DaemonConfig, Path | None]:
    if isinstance(config, Config):
        return config.daemon, config.log.file
    return config, None


def _accounts_of(config: Config | DaemonConfig, identity: Identity | None) -> set[int | None]:
    """Return the accounts that a configuration's daemon may have been started by."""
    if identity is None or not isinstance(config, Config):
        return set()
    owners = {_owner(Path(path)) for path in (identity.database, identity.config) if path}
    with suppress(KeyError):
        owners.add(pwd.getpwnam(config.daemon.user).pw_uid if config.daemon.user else None)
    return owners


def _distrust(found: os.stat_result) -> str | None:
    """Why files in a directory could be somebody else's; None when they cannot."""
    if found.st_uid not in (0, os.geteuid()) or not is_known(found.st_uid):
        return f"it belongs to user id {found.st_uid}, not to {os.geteuid()}"
    if found.st_mode & stat.S_IWOTH:
        return "everybody may write in it; give the daemon a directory of its own"
    if os.geteuid() == 0 and others_may_write(found):
        return f"group id {found.st_gid} may write in it; give the daemon a directory of its own"
    return None


def _owner(path: Path) -> int | None:
    try:
        return path.lstat().st_uid
    except OSError:
        return None
