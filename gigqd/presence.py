"""Who is there: the process that listens on a socket, or has a lock open, as the kernel tells."""

from __future__ import annotations

import os
import socket
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from gigqd import exits, pidfile
from gigqd.control import existing, peer_of
from gigqd.errors import GigqdError
from gigqd.text import printable

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from gigqd.identity import Identity, LockNote


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


class AlreadyRunning(GigqdError):  # noqa: N818 - a sentence, as the library's errors are
    """Another process holds this instance's lock.

    Parameters:
        running: what is known of the holder.
        deleted: the directory of its files when they were deleted.
        file: its configuration file when that is another one.
    """

    exit_code = exits.ALREADY_RUNNING

    def __init__(
        self, running: RunningInstance, deleted: Path | None = None, file: str | None = None
    ) -> None:
        self.pid = running.pid
        self.since = running.since
        self.deleted = deleted
        text = f"already running ({running})"
        if file:
            text += f" with the configuration {printable(file)}"
        if deleted:
            text += f"; its files in {deleted} were deleted, and it puts them back in a few seconds"
        super().__init__(text)


class AnotherDaemon(GigqdError):  # noqa: N818 - a sentence, as the library's errors are
    """A running daemon is not the one that this configuration means, or no longer.

    Args:
        running: the process that runs.
        theirs: which daemon it is.
        wanted: which daemon the configuration means.
        place: the runtime directory of the one that runs.
    """

    exit_code = exits.ALREADY_RUNNING

    def __init__(
        self, running: RunningInstance, theirs: Identity, wanted: Identity, place: Path
    ) -> None:
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


@dataclass(frozen=True, slots=True)
class Listener:
    """Whether somebody listens on a socket, and which process when that can be told."""

    exists: bool
    pid: int | None = None


def listener(path: Path, trusted: Callable[[int], bool]) -> Listener:
    """Who listens on a socket; a stranger does not count.

    Args:
        path: where the socket is.
        trusted: whether a user, by id, may be whom one looks for.
    """
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_NONBLOCK) as probe:
        try:
            with existing(path) as name:
                probe.connect(name)
        except BlockingIOError:  # its queue is full: it is there, and does not answer
            return Listener(exists=True)
        except OSError:
            return Listener(exists=False)
        pid, uid = peer_of(probe)
    return Listener(exists=True, pid=pid or None) if trusted(uid) else Listener(exists=False)


def describe(pid: int | None) -> RunningInstance:
    """What is known of a process."""
    if pid is None:
        return RunningInstance(None, None, None)
    return RunningInstance(pid, pidfile.ticks_of(pid), _started_at(pid))


def has_open(note: LockNote, lock: Path) -> bool:
    """Whether the noted process lives, is the same one, and has the lock file open."""
    if not note.names_a_live_process():
        return False
    try:
        wanted = lock.lstat()
        fds = os.listdir(f"/proc/{note.pid}/fd")  # noqa: PTH208 - names, not paths
    except PermissionError:
        return True  # another user's daemon: its start time must do
    except OSError:
        return False
    return any(_is_open_at(f"/proc/{note.pid}/fd/{fd}", wanted) for fd in fds)


def _started_at(pid: int) -> datetime | None:
    import psutil  # slow to import, and only for this

    with suppress(psutil.Error):
        return datetime.fromtimestamp(psutil.Process(pid).create_time(), UTC)
    return None


def _is_open_at(link: str, wanted: os.stat_result) -> bool:
    try:
        return os.path.samestat(os.stat(link), wanted)  # noqa: PTH116 - follows the magic link
    except OSError:
        return False
