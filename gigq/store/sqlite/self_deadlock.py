"""Detection of a write lock that the waiting thread's own transaction holds."""

from __future__ import annotations

import fcntl
import gc
import os
import sqlite3
import threading
from contextlib import closing
from typing import Any, cast

from gigq.errors import LockedByThisThread
from gigq.store.sqlite.file.lost_locks import locks_of_this_process

_WRITE_LOCK = 120
"""The byte of the -shm file that a writer locks (sqlite.org, "WAL-mode File Format")."""

_REMEDY = "commit it before, or give the queue a file of its own"


def refuse_to_wait(path: str) -> None:
    """Refuse to wait for a write lock that only this thread could release.

    Args:
        path: the database file.

    Raises:
        LockedByThisThread: another connection of this thread has a write transaction open.
    """
    if not is_held_here(path):
        return
    connections = [one for one in _in_transaction() if not _is_of_another_thread(one)]
    alone = threading.active_count() == 1
    for one in connections:
        if (alone or _is_bound_to_a_thread(one)) and _has_open(one, path):
            raise LockedByThisThread(
                f"{path} is locked by this thread itself: another of its connections has a write "
                f"transaction open on the file, and nothing is stored until that ends; {_REMEDY}"
            )


def is_held_here(path: str) -> bool:
    """Return True when this process holds the write lock of a database file."""
    try:
        locks = locks_of_this_process(f"{path}-shm")
    except OSError:
        return False
    return any(one.kind == fcntl.F_WRLCK and one.first == _WRITE_LOCK for one in locks)


def _in_transaction() -> list[sqlite3.Connection]:
    """Return all connections of this process with an open transaction, of any library."""
    found = []
    for value in gc.get_objects():
        # Not `isinstance`, which would make a proxy load its object.
        if issubclass(type(value), sqlite3.Connection):
            try:
                if sqlite3.Connection.in_transaction.__get__(value):
                    found.append(value)
            except sqlite3.Error:
                continue  # closed
    return found


def _is_of_another_thread(connection: sqlite3.Connection) -> bool:
    try:
        sqlite3.Connection.cursor(connection).close()
    except sqlite3.Error:
        return True
    return False


def _is_bound_to_a_thread(connection: sqlite3.Connection) -> bool:
    """Return True when only the thread that made a connection may use it.

    False also when no further thread can be started to try it.
    """
    answers: list[bool] = []
    thread = threading.Thread(target=lambda: answers.append(_is_of_another_thread(connection)))
    try:
        thread.start()
    except RuntimeError:
        return False
    thread.join()
    return answers == [True]


def _has_open(connection: sqlite3.Connection, path: str) -> bool:
    try:
        with closing(cast("Any", sqlite3.Connection.cursor(connection))) as cursor:
            cursor.row_factory = None
            files = [row[2] for row in cursor.execute("PRAGMA database_list")]
    except sqlite3.Error:
        return False  # also when its thread has closed it in the meantime
    return any(file and os.path.realpath(file) == path for file in files)
