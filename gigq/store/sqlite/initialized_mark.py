"""A mark file in `<database>.gigq` that shows that a queue was created at this path.

A database that is missing or empty beside its mark was lost or is being restored, and a new queue
in its place would hide that. The mark's content is the state in which the last process left the
database file.
"""

from __future__ import annotations

import os
from contextlib import suppress

from gigq.errors import NoQueue
from gigq.store.sqlite.file import private_files
from gigq.store.sqlite.file.identity import is_empty, is_empty_or_missing, state_of
from gigq.store.sqlite.file.wal_file_names import TO_BEGIN
from gigq.store.sqlite.processes import lock_holders
from gigq.store.sqlite.processes.run_locks import companion, companion_path

_NAME = "initialized"
_LONGEST_STATE = 200


def note(path: str) -> None:
    """Mark that there is a queue at `path`.

    Raises:
        OSError: no file can be written beside the database.
    """
    if not held_queue(path):
        os.close(private_files.open_file(companion(path) / _NAME))


def held_queue(path: str) -> bool:
    """Return True when there was a queue at `path` before, or may have been.

    An account without access to the folder beside it cannot see the mark and must assume it.
    """
    try:
        os.stat(companion_path(path) / _NAME)  # noqa: PTH116 - beside other calls of os
    except OSError as error:
        return not isinstance(error, FileNotFoundError | NotADirectoryError)
    return True


def note_complete(path: str) -> None:
    """Write the state of the file at `path` into its mark, if no process has it open."""
    if os.path.exists(f"{path}-wal") or not held_queue(path):  # noqa: PTH110
        return
    with suppress(OSError):  # the state only saves the next process a wait
        state = _state_of(os.stat(path))  # noqa: PTH116
        private_files.write(companion_path(path) / _NAME, state)


def is_noted(path: str, found: os.stat_result) -> bool:
    """Return True when a file has the state that `note_complete` wrote last.

    Args:
        path: the database file.
        found: its present state.
    """
    if not held_queue(path):
        return False
    with suppress(OSError):
        mark = private_files.open_file(companion_path(path) / _NAME)
        try:
            return os.read(mark, _LONGEST_STATE) == _state_of(found)
        finally:
            os.close(mark)
    return False


def _state_of(found: os.stat_result) -> bytes:
    return " ".join(map(str, state_of(found))).encode()


def refuse_lost(path: str) -> None:
    """Refuse to create a queue where one was lost, for a process that runs jobs.

    Raises:
        NoQueue: the file is missing or empty.
    """
    if held_queue(path) and is_empty_or_missing(path):
        raise _lost(path)


def refuse_empty(path: str) -> None:
    """Refuse an empty file at a path where this process knows a queue.

    Raises:
        NoQueue: the file is empty.
    """
    if is_empty(path):
        raise _lost(path)


def refuse_beside_live_run(path: str) -> None:
    """Refuse to create a file that a running daemon or worker has lost.

    Raises:
        NoQueue: the file is missing or empty, and another process still runs its jobs.
    """
    if not (held_queue(path) and is_empty_or_missing(path)):
        return
    runs = lock_holders.servers(path)
    if runs is None:
        raise _lost(path)
    if alive := sorted({pid for pids in runs.values() for pid in pids}):
        pids = " ".join(map(str, alive))
        raise NoQueue(
            f"{path} held a queue and is {_state(path)}, while it is in use (process {pids}); "
            f"put it back or restore a backup; {TO_BEGIN}"
        )


def _lost(path: str) -> NoQueue:
    return NoQueue(
        f"{path} held a queue and is {_state(path)}: put it back or restore a backup; {TO_BEGIN}"
    )


def _state(path: str) -> str:
    return "empty" if os.path.exists(path) else "missing"  # noqa: PTH110
