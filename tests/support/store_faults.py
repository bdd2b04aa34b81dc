"""What can happen to a daemon's database, done to real files."""

from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
import sys
import time
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from support.waiting import wait_until

from gigq.store.sqlite.connections import close_connection

if TYPE_CHECKING:
    from collections.abc import Iterator

    from support.daemon import Daemon

STOPPED_WRITER = """
import sqlite3, sys, time
connection = sqlite3.connect(sys.argv[1], isolation_level=None)
connection.execute("PRAGMA busy_timeout=10000")
connection.execute("BEGIN IMMEDIATE")
connection.execute("UPDATE jobs SET priority = priority")
print("within", flush=True)
sys.stdin.readline()
connection.execute("ROLLBACK")
"""


def files_of(database: Path) -> list[Path]:
    """The database file and its companions that are there."""
    names = [database, Path(f"{database}-wal"), Path(f"{database}-shm")]
    return [name for name in names if name.exists()]


def move_away(database: Path) -> dict[Path, Path]:
    """Move a database away, whole; where each of its files is now."""
    close_connection(database)
    away = {name: name.with_name(f"{name.name}.away") for name in files_of(database)}
    for name, place in away.items():
        name.rename(place)
    return away


def copy_of(database: Path, name: str = "copy.db") -> Path:
    """A consistent copy of a database in use."""
    place = database.with_name(name)
    with closing(sqlite3.connect(database)) as source, closing(sqlite3.connect(place)) as copy:
        source.backup(copy)
    return place


@contextmanager
def locked(database: Path, how: str = "EXCLUSIVE") -> Iterator[None]:
    """Another connection has the database for itself."""
    with closing(sqlite3.connect(database, isolation_level=None)) as blocker:
        blocker.execute("PRAGMA busy_timeout=10000")
        blocker.execute(f"BEGIN {how}")
        try:
            yield
        finally:
            blocker.execute("ROLLBACK")


@contextmanager
def stopped_writer(database: Path) -> Iterator[None]:
    """A process that was stopped in the middle of a transaction."""
    writer = subprocess.Popen(
        [sys.executable, "-c", STOPPED_WRITER, str(database)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    with writer:
        assert writer.stdout is not None
        assert writer.stdin is not None
        assert writer.stdout.readline() == "within\n"
        os.kill(writer.pid, signal.SIGSTOP)
        try:
            yield
        finally:
            os.kill(writer.pid, signal.SIGCONT)
            writer.stdin.write("\n")


def wait_until_degraded(daemon: Daemon, *words: str) -> dict[str, Any]:
    """Wait until a daemon says that it is degraded and why; its status, given within a second."""

    def is_degraded() -> dict[str, Any] | None:
        status = prompt_status(daemon)
        reason = status["reason"] or ""
        found = status["state"] == "degraded" and all(word in reason for word in words)
        return status if found else None

    return wait_until(is_degraded, why=f"degraded: {words}") or {}


def wait_until_running(daemon: Daemon) -> dict[str, Any]:
    """Wait until a daemon says that all is well."""
    return wait_until(lambda: (s := prompt_status(daemon))["state"] == "running" and s)


def prompt_status(daemon: Daemon) -> dict[str, Any]:
    """A daemon's status, which it owes within a second in every state of the database."""
    began = time.monotonic()
    status = daemon.status()
    assert time.monotonic() - began < 1.0, "the status took longer than a second"
    return status


def integrity(database: Path) -> str:
    """What SQLite says of the whole file."""
    with closing(sqlite3.connect(database)) as connection:
        return str(connection.execute("PRAGMA integrity_check").fetchone()[0])
