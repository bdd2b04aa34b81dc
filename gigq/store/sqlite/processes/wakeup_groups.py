"""Groups of waiting workers: one pipe for all workers that serve the same queues.

In the folder beside the database a group has a pipe, `wakeup-<digest>.fifo`, and a description,
`wakeup-<digest>.json`, with the patterns of its queues. A digest suits names of any length. A
waiting worker holds a shared flock(2) on the pipe, and gigq removes a pipe only under the exclusive
one, so never under a waiting worker.
"""

from __future__ import annotations

import fcntl
import json
import os
import stat
import time
from contextlib import suppress
from functools import lru_cache
from typing import TYPE_CHECKING, NamedTuple

from gigq.model.digest import digest
from gigq.model.served_queues import EVERYTHING, ServedQueues, checked, parse
from gigq.store.sqlite.file.private_files import is_at

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

_PREFIX = "wakeup-"
_PIPE = ".fifo"
_DESCRIPTION = ".json"
_LONGEST_DESCRIPTION = 4 * 1024 * 1024
_TRIES = 100
_PAUSE = 0.001
_MOST_FOLDERS = 256

# A folder that changed more recently may change again and keep its time: the kernel's clock for
# files ticks every 10 ms at least, and some file systems store whole seconds.
_SECOND = 1_000_000_000
_CERTAIN_AFTER = 50_000_000
_CERTAIN_AFTER_WHOLE_SECONDS = 2_500_000_000

_SAFELY = os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOFOLLOW


class Group(NamedTuple):
    """The workers that wait on one pipe."""

    path: str
    served: ServedQueues

    def jobs_among(self, due: Mapping[str, int]) -> int:
        """Return how many of the jobs, given by queue, this group serves."""
        serves = self.served.serves
        return sum(jobs for queue, jobs in due.items() if serves(queue))


def groups_in(folder: str) -> tuple[Group, ...]:
    """Return the groups that have a pipe in a folder.

    Raises:
        OSError: the folder is missing, or may not be read.
    """
    found = os.stat(folder)  # noqa: PTH116 - at every submit
    state = found.st_dev, found.st_ino, found.st_mtime_ns
    known = _known.get(folder)
    if known is not None and known[0] == state:
        return known[1]
    looked_at = time.time_ns()
    groups = tuple(_listed(folder))
    fine = found.st_mtime_ns % _SECOND
    certain_after = _CERTAIN_AFTER if fine else _CERTAIN_AFTER_WHOLE_SECONDS
    if looked_at - found.st_mtime_ns > certain_after:
        if len(_known) >= _MOST_FOLDERS:
            _known.clear()
        _known[folder] = state, groups
    return groups


_known: dict[str, tuple[tuple[int, int, int], tuple[Group, ...]]] = {}


def pipe_of(folder: str, served: ServedQueues) -> str:
    """Return the path of a group's pipe, which need not exist."""
    return f"{folder}/{_PREFIX}{_digest(served)}{_PIPE}"


def join(folder: str, served: ServedQueues) -> int:
    """Open a group's pipe to wait on it; make it when it is missing.

    Returns:
        A descriptor, for `leave`.

    Raises:
        OSError: the pipe cannot be made or opened, or a file of another kind has its name.
    """
    path = pipe_of(folder, served)
    for _ in range(_TRIES):
        _describe(path, served)
        with suppress(FileExistsError):
            os.mkfifo(path, 0o600)
        with suppress(FileNotFoundError):
            # Open for writing, too: a pipe without a writer is always ready.
            descriptor = open_pipe(path, os.O_RDWR)
            if _try_lock(descriptor, fcntl.LOCK_SH) and is_at(path, descriptor):
                return descriptor
            os.close(descriptor)
        time.sleep(_PAUSE)  # another process is removing it
    return open_pipe(path, os.O_RDWR)


def leave(path: str, descriptor: int) -> None:
    """Close a descriptor of `join`, and remove the pipe if no other worker waits on it."""
    os.close(descriptor)
    _remove_unless_used(path)


def remove_unused(folder: str) -> None:
    """Remove the pipes on which no worker waits, because it was killed."""
    with suppress(OSError):
        for group in tuple(_listed(folder)):
            _remove_unless_used(group.path)


@lru_cache(maxsize=256)
def _digest(served: ServedQueues) -> str:
    return digest(_description(served).decode(), 8).hex()


def _description(served: ServedQueues) -> bytes:
    return json.dumps(served.patterns()).encode()


def _listed(folder: str) -> Iterator[Group]:
    with os.scandir(folder) as entries:
        for entry in entries:
            if not (entry.name.startswith(_PREFIX) and entry.name.endswith(_PIPE)):
                continue
            with suppress(FileNotFoundError):
                if stat.S_ISFIFO(entry.stat(follow_symlinks=False).st_mode):
                    yield Group(entry.path, _described(entry.path))


def _described(path: str) -> ServedQueues:
    """Return the queues of a group; every queue when unknown, which costs useless wakeups only."""
    try:
        return parse(checked(json.loads(_read(_beside(path)))))
    except (OSError, TypeError, ValueError, RecursionError):
        return EVERYTHING


def _describe(path: str, served: ServedQueues) -> None:
    """Write the queues of a group into its description, before it has a pipe."""
    text = _description(served)
    with suppress(OSError):  # on a full disk the group is woken for every queue
        with suppress(FileNotFoundError):
            if _read(_beside(path)) == text:
                return
        flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | _SAFELY
        descriptor = os.open(_beside(path), flags, 0o600)
        try:
            os.write(descriptor, text)
        finally:
            os.close(descriptor)


def _beside(path: str) -> str:
    return path.removesuffix(_PIPE) + _DESCRIPTION


def _read(path: str) -> bytes:
    descriptor = os.open(path, os.O_RDONLY | _SAFELY)
    try:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise OSError(f"{path} is not a file")
        return os.read(descriptor, _LONGEST_DESCRIPTION)
    finally:
        os.close(descriptor)


def open_pipe(path: str, access: int) -> int:
    """Open a pipe without waiting or following a link.

    Raises:
        OSError: there is no file, or one of another kind.
    """
    descriptor = os.open(path, access | _SAFELY)
    if stat.S_ISFIFO(os.fstat(descriptor).st_mode):
        return descriptor
    os.close(descriptor)
    raise OSError(f"{path} is not a pipe")


def _remove_unless_used(path: str) -> None:
    with suppress(OSError):
        descriptor = open_pipe(path, os.O_RDWR)
        try:
            if _try_lock(descriptor, fcntl.LOCK_EX) and is_at(path, descriptor):
                # The description first: after a kill in between the pipe shows what to remove.
                with suppress(FileNotFoundError):
                    os.unlink(_beside(path))  # noqa: PTH108 - paths are text here
                os.unlink(path)  # noqa: PTH108
        finally:
            os.close(descriptor)


def _try_lock(descriptor: int, kind: int) -> bool:
    try:
        fcntl.flock(descriptor, kind | fcntl.LOCK_NB)
    except OSError:
        return False
    return True
