"""Probes of a database in use: reading and writing the file itself, not SQLite's memory."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from typing import TYPE_CHECKING

from gigq.errors import StoreCorrupt
from gigq.store.sqlite.connections import BUSY_TIMEOUT, address_of
from gigq.store.sqlite.errors import until_free
from gigq.store.sqlite.file.wal_file_names import beside, together

if TYPE_CHECKING:
    from collections.abc import Callable

    from gigq.store.sqlite.connections import StoreConnection


STEPS_A_BEAT = 1_000_000
"""Steps of SQLite's virtual machine, of a few milliseconds, between calls of `heartbeat`."""


def require_readable(path: str, patience: float) -> None:
    """Read the file through a new connection; an open one may serve reads from its memory.

    Args:
        path: the database file; a process must have it open.
        patience: seconds to wait for a lock at most.

    Raises:
        StoreCorrupt: the file is no database.
        StoreError: it cannot be read now.
    """
    until_free(lambda: _ask(path, "PRAGMA schema_version"), patience, path)


def require_whole(path: str, patience: float, heartbeat: Callable[[], None]) -> None:
    """Check every page; the time it takes grows with the file.

    Args:
        path: the database file; a process must have it open.
        patience: seconds to wait for a lock at most.
        heartbeat: called every few milliseconds during the check.

    Raises:
        StoreCorrupt: the file is damaged, or no database.
        StoreError: it cannot be read now.
    """
    found = until_free(lambda: _ask(path, "PRAGMA quick_check(1)", heartbeat), patience, path)
    if found != "ok":
        raise StoreCorrupt(
            f"{path} is damaged ({found}); stop using it, keep {together(beside(path))}, and "
            "restore a backup"
        )


def call_during_statements(connection: sqlite3.Connection, heartbeat: Callable[[], None]) -> None:
    """Make a connection call `heartbeat` every few milliseconds during long statements."""

    def step() -> int:
        heartbeat()
        return 0

    connection.set_progress_handler(step, STEPS_A_BEAT)


def require_lock(connection: StoreConnection, patience: float) -> None:
    """Take the write lock and release it, without writing to the disk.

    Raises:
        StoreLocked: another connection held it for longer than `patience` seconds.
        StoreUnavailable: the file may not be written.
    """
    until_free(lambda: _lock(connection), patience, connection.path)


def require_writable(connection: StoreConnection, patience: float) -> None:
    """Commit a page that changes nothing; like any commit it needs room on the disk.

    Raises:
        StoreLocked: another connection held the lock for longer than `patience` seconds.
        StoreUnavailable: the file cannot be written; nothing was changed.
    """
    until_free(lambda: _write(connection), patience, connection.path)


def version_of(connection: StoreConnection, patience: float) -> int:
    """Return a number that changes when another connection commits.

    Raises:
        StoreError: the file cannot be read, or is locked for longer than `patience` seconds.
    """

    def ask() -> int:
        return int(connection.execute("PRAGMA data_version").fetchone()[0])

    return until_free(ask, patience, connection.path)


def _ask(path: str, question: str, heartbeat: Callable[[], None] | None = None) -> object:
    connection = sqlite3.connect(
        address_of(path), uri=True, timeout=BUSY_TIMEOUT, isolation_level=None
    )
    with closing(connection):
        connection.execute("PRAGMA wal_autocheckpoint=0")
        if heartbeat is not None:
            call_during_statements(connection, heartbeat)
        return connection.execute(question).fetchone()[0]


def _lock(connection: StoreConnection) -> None:
    connection.execute("BEGIN IMMEDIATE")
    connection.execute("ROLLBACK")


def _write(connection: StoreConnection) -> None:
    connection.execute("BEGIN IMMEDIATE")
    try:
        (version,) = connection.execute("PRAGMA user_version").fetchone()
        connection.execute(f"PRAGMA user_version={version}")
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise
