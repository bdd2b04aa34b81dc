"""Search for running daemons: of a runtime directory, or of a configuration wherever it runs.

The kernel names the process that holds the lock on a lock file, and the text of that file is the
identity of the daemon. /proc/locks lists the holders of all such locks of the host, also of files
that were deleted: a daemon has its lock file open, so its text can be read through /proc. A file
counts only if it belongs to the account of the process, since no other account can have written it.
"""

from __future__ import annotations

import os
import stat
from contextlib import suppress
from datetime import UTC, datetime
from enum import IntEnum
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from gigq.store.sqlite.file import record_lock
from gigq.store.sqlite.file.private_files import is_known
from gigq.terminal import printable
from gigqd import exit_codes
from gigqd.errors import GigqdError
from gigqd.host import database_lock
from gigqd.host.identity import read_record
from gigqd.host.lock_file import BYTE, OPEN_FLAGS, is_a_daemons, reason, refuse_older_daemon

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from gigqd.host.identity import Identity, Record

_LOCK_PREFIX, _LOCK_SUFFIX = "gigqd", ".lock"
_DELETED = " (deleted)"


class Match(IntEnum):
    """The relation of a running daemon to the configuration of a command, best match first."""

    FILE = 0
    """It runs the same configuration file, or an unknown one."""
    QUEUE = 1
    """It serves the same database under the same name."""
    OTHER = 2


class RunningDaemon(NamedTuple):
    """A daemon that runs.

    Attributes:
        pid: its process; None when it cannot be seen from here, as in another container.
        uid: the account that it runs as.
        lock: its lock file.
        identity: its identity; None when its lock file has none.
    """

    pid: int | None
    uid: int
    lock: Path
    identity: Identity | None

    def __str__(self) -> str:
        if self.pid is None:
            return "pid unknown"
        since = _started_at(self.pid)
        then = f", since {since.astimezone().isoformat(' ', 'seconds')}" if since else ""
        return f"pid {self.pid}{then}"

    def match(self, wanted: Identity | None) -> Match:
        """Return the relation of this daemon to the wanted one."""
        if wanted is None or self.identity is None or self.identity.has_file_of(wanted):
            return Match.FILE
        return Match.QUEUE if self.identity.has_queue_of(wanted) else Match.OTHER


class AlreadyRunning(GigqdError):  # noqa: N818 - a sentence, as the library's errors are
    """The daemon of this runtime directory or of this configuration runs already.

    Args:
        running: the daemon.
        deleted: the directory of its files, if they were deleted.
        file: its configuration file, if it is another one.
    """

    exit_code = exit_codes.ALREADY_RUNNING

    def __init__(
        self, running: RunningDaemon, deleted: Path | None = None, file: str | None = None
    ) -> None:
        self.pid = running.pid
        self.deleted = deleted
        text = f"already running ({running})"
        if file:
            text += f" with the configuration {printable(file)}"
        if deleted:
            text += f"; its files in {deleted} were deleted, and it puts them back in a few seconds"
        super().__init__(text)


class AnotherDaemon(GigqdError):  # noqa: N818 - a sentence, as the library's errors are
    """A running daemon has another configuration than the wanted one.

    Args:
        running: the daemon.
        theirs: its identity.
        wanted: the identity in this configuration.
    """

    exit_code = exit_codes.ALREADY_RUNNING

    def __init__(self, running: RunningDaemon, theirs: Identity, wanted: Identity) -> None:
        place = running.lock.parent
        if theirs.has_file_of(wanted):
            text = f"gigqd ({running}) still runs {theirs}; `gigqd restart` replaces it by {wanted}"
        elif theirs.config and not os.path.lexists(theirs.config):
            text = (
                f"the gigqd ({running}) with its files in {place} runs {theirs}, which was moved "
                f"or deleted; stop it (`kill {running.pid or 'PID'}`, which lets jobs finish) "
                f"to run {wanted}"
            )
        else:
            text = (
                f"another gigqd ({running}) has its files in {place}: it runs {theirs}, and "
                f"this one is {wanted}; give each a daemon.runtime_dir of its own"
            )
        super().__init__(text)


def find(
    lock: Path | None, wanted: Identity | None, trusts: Callable[[int], bool]
) -> RunningDaemon | None:
    """Return the wanted running daemon; None when none can be seen.

    A daemon of the same configuration file comes first, then one of the same database and name,
    then another with the same lock file.

    Args:
        lock: the path of its lock file; None when only `wanted` counts.
        wanted: the identity of the daemon; None when only the lock file counts.
        trusts: returns True for a user id whose daemons elsewhere may be returned.

    Raises:
        GigqdError: this account may not read the lock file.
    """
    here = at(lock) if lock is not None else None
    if here is not None and here.match(wanted) is Match.FILE:
        return here
    elsewhere = [
        daemon
        for daemon in _seen(trusts)
        if daemon.lock == lock or (wanted is not None and daemon.match(wanted) < Match.OTHER)
    ]
    found = [here, *elsewhere] if here is not None else elsewhere
    return min(found, key=lambda daemon: daemon.match(wanted), default=None)


def find_of_file(wanted: Identity) -> RunningDaemon | None:
    """Return the daemon that runs a configuration file, found by the path of the file.

    Only daemons of root, of this account and of the owner of the file count.
    """
    accounts = {0, os.geteuid()}
    with suppress(OSError):
        accounts.add(Path(wanted.config or "").stat().st_uid)
    return find(None, wanted, lambda uid: uid in accounts and is_known(uid))


def at(lock: Path) -> RunningDaemon | None:
    """Return the daemon of another process that holds the lock file at a path; None without one.

    Raises:
        GigqdError: this account may not read the file, or an older gigqd holds it.
    """
    try:
        descriptor = os.open(lock, os.O_RDONLY | OPEN_FLAGS)
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        text = f"cannot read the lock {lock}: {reason(error)}"
        raise GigqdError(text, exit_code=exit_codes.NOT_PERMITTED) from error
    try:
        held = record_lock.conflict(descriptor, BYTE)
        if held is None:
            refuse_older_daemon(descriptor, lock)
        if held is None or not is_a_daemons(held):
            return None
        record, uid = read_record(descriptor), os.fstat(descriptor).st_uid
    finally:
        os.close(descriptor)
    pid = held.pid if held.pid > 0 else None
    return RunningDaemon(pid, uid, lock, record.identity if record else None)


def _seen(trusts: Callable[[int], bool]) -> Iterator[RunningDaemon]:
    """Yield the daemons of other processes that /proc shows, of accounts that are trusted."""
    for pid in dict.fromkeys(_holders()):
        uid = None if pid == os.getpid() else _account_of(pid)
        if uid is None or not trusts(uid):
            continue
        record = _record_of(pid, uid)
        if record is not None and _has_same_files(pid, record):
            yield RunningDaemon(pid, uid, Path(record.lock), record.identity)


def _holders() -> Iterator[int]:
    """Yield the processes that /proc/locks lists with the lock of a daemon or of a database.

    For a lock file in a container, only the lock on the database is listed.
    """
    with suppress(OSError):
        for line in record_lock.listed():
            # 12: POSIX  ADVISORY  WRITE 4711 08:01:131 4611686018427387910 4611686018427387910
            fields = line.split()
            if len(fields) == 8 and fields[1] == "POSIX" and database_lock.is_place(int(fields[6])):
                yield int(fields[4])


def _account_of(pid: int) -> int | None:
    """Return the user id of a process; None when it is gone or has several."""
    with suppress(OSError):
        for line in Path(f"/proc/{pid}/status").read_bytes().splitlines():
            if line.startswith(b"Uid:"):
                uids = {int(uid) for uid in line.split()[1:]}
                return uids.pop() if len(uids) == 1 else None
    return None


def _record_of(pid: int, uid: int) -> Record | None:
    """Return the text of the lock file that a process has open; None when it has none."""
    with suppress(OSError):
        for number in os.listdir(f"/proc/{pid}/fd"):  # noqa: PTH208 - names, not paths
            link = f"/proc/{pid}/fd/{number}"
            if _is_lock(link, uid) and (record := _read(link)) is not None:
                return record
    return None


def _is_lock(link: str, uid: int) -> bool:
    with suppress(OSError):
        name = os.path.basename(os.readlink(link)).removesuffix(_DELETED)  # noqa: PTH115, PTH119
        if name.startswith(_LOCK_PREFIX) and name.endswith(_LOCK_SUFFIX):
            found = os.stat(link)  # noqa: PTH116 - the open file, not its path
            return stat.S_ISREG(found.st_mode) and found.st_uid == uid
    return False


def _read(link: str) -> Record | None:
    with suppress(OSError):
        descriptor = os.open(link, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        try:
            return read_record(descriptor)
        finally:
            os.close(descriptor)
    return None


def _has_same_files(pid: int, record: Record) -> bool:
    """Return True when a process sees the same files as this one, as in one container."""
    for path in (os.path.dirname(record.identity.place), "/"):  # noqa: PTH120
        with suppress(FileNotFoundError):
            try:
                return os.path.samestat(os.stat(f"/proc/{pid}/root{path}"), os.stat(path))  # noqa: PTH116
            except (PermissionError, NotADirectoryError):
                return False
    return False


def _started_at(pid: int) -> datetime | None:
    import psutil  # slow to import; needed only here

    with suppress(psutil.Error):
        return datetime.fromtimestamp(psutil.Process(pid).create_time(), UTC)
    return None
