"""What no queue on this machine can beat: raw SQLite from Python, fsync, and fork.

The tables and indexes are gigq's own; the statements are the four that a job needs, written out
here so that they stay as they are.
"""

from __future__ import annotations

import os
import sqlite3
import tempfile
import time
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

INSERT = (
    "INSERT INTO jobs (id, name, queue, priority, created_at, updated_at, max_attempts, timeout,"
    " function_module, function_name, function_file, params)"
    " VALUES (?, 'noop', 'default', 0, ?, ?, 3, 300, 'bench.work', 'noop', NULL, '{}')"
)
CLAIM = (
    "UPDATE jobs SET status = 'running', attempts = attempts + 1, started_at = ?1,"
    " updated_at = ?1, worker_id = 'w', execution_id = ?2 WHERE rowid = (SELECT rowid FROM jobs"
    " WHERE status = 'pending' AND unmet = 0 AND retry_after IS NULL AND queue = 'default'"
    " ORDER BY priority DESC, created_at, id LIMIT 1) RETURNING *"
)
OPEN = (
    "INSERT INTO job_executions (id, job_id, worker_id, status, started_at, attempt)"
    " VALUES (?, ?, 'w', 'running', ?, 1)"
)
CLOSE = "UPDATE job_executions SET status = 'completed', completed_at = ? WHERE id = ?"
DONE = (
    "UPDATE jobs SET status = 'completed', result = 'null', completed_at = ?1, updated_at = ?1,"
    " worker_id = NULL WHERE id = ?2 AND status = 'running'"
)
NOW = "2026-01-01T00:00:00.000000+00:00"
FILLED = 60_000
BULK = 20_000


def measure(name: str, seconds: float, where: Path | None) -> float:
    """How often something can be done in a second."""
    with tempfile.TemporaryDirectory(dir=where) as folder:
        return FLOORS[name](Path(folder), seconds)


def _store(folder: Path, synchronous: str, jobs: int = 0) -> sqlite3.Connection:
    from gigq import JobQueue

    file = folder / "floor.db"
    JobQueue(file).close()
    connection = sqlite3.connect(file, isolation_level=None, cached_statements=256)
    connection.execute("PRAGMA wal_autocheckpoint=0")
    connection.execute("PRAGMA synchronous=NORMAL")
    connection.execute("BEGIN")
    connection.executemany(INSERT, _rows(0, jobs))
    connection.execute("COMMIT")
    connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
    connection.execute(f"PRAGMA synchronous={synchronous}")
    return connection


def _rows(first: int, count: int) -> list[tuple[str, str, str]]:
    """Ids and times that grow, as gigq's do."""
    return [(f"{first + n:032x}", NOW, NOW) for n in range(count)]


def _claim_and_settle(synchronous: str, batch: int, folder: Path, seconds: float) -> float:
    """Settle the last batch and claim the next in one transaction, in one process."""
    connection = _store(folder, synchronous, FILLED)
    held: list[tuple[str, str]] = []
    done, number, began = 0, 0, time.monotonic()
    while time.monotonic() - began < seconds and done < FILLED - 2 * batch:
        connection.execute("BEGIN IMMEDIATE")
        for execution, job in held:
            connection.execute(CLOSE, (NOW, execution))
            connection.execute(DONE, (NOW, job))
        done += len(held)
        held = []
        for _ in range(batch):
            number += 1
            execution = f"{number:032x}"
            row = connection.execute(CLAIM, (NOW, execution)).fetchall()[0]
            connection.execute(OPEN, (execution, row[0], NOW))
            held.append((execution, row[0]))
        connection.execute("COMMIT")
    return done / (time.monotonic() - began)


def _commits(folder: Path, seconds: float) -> float:
    """Store one job in a transaction that is on disk when it returns."""
    connection = _store(folder, "FULL")
    done, began = 0, time.monotonic()
    while time.monotonic() - began < seconds:
        connection.execute("BEGIN IMMEDIATE")
        connection.execute(INSERT, (f"{done:032x}", NOW, NOW))
        connection.execute("COMMIT")
        done += 1
    return done / (time.monotonic() - began)


def _executemany(folder: Path, seconds: float) -> float:
    """Store many jobs in one transaction."""
    connection = _store(folder, "FULL")
    done, spent = 0, 0.0
    while spent < seconds:
        rows = _rows(done, BULK)
        began = time.monotonic()
        connection.execute("BEGIN IMMEDIATE")
        connection.executemany(INSERT, rows)
        connection.execute("COMMIT")
        spent += time.monotonic() - began
        done += BULK
    return done / spent


def _fsync(folder: Path, seconds: float) -> float:
    """Write a page to a file and have it on disk."""
    page = b"x" * 4096
    fd = os.open(folder / "file", os.O_RDWR | os.O_CREAT)
    os.write(fd, page * 256)
    done, began = 0, time.monotonic()
    while time.monotonic() - began < seconds:
        os.pwrite(fd, page, 4096 * (done % 256))
        os.fdatasync(fd)
        done += 1
    os.close(fd)
    return done / (time.monotonic() - began)


def _fork(_folder: Path, seconds: float) -> float:
    """Fork a small process that ends at once, and wait for it."""
    done, began = 0, time.monotonic()
    while time.monotonic() - began < seconds:
        pid = os.fork()
        if pid == 0:
            os._exit(0)
        os.waitpid(pid, 0)
        done += 1
    return done / (time.monotonic() - began)


def _sleep(_folder: Path, seconds: float) -> float:
    """Sleep for 10 ms, one time after the other: at best 100 times a second."""
    done, began = 0, time.monotonic()
    while time.monotonic() - began < seconds:
        time.sleep(0.010)
        done += 1
    return done / (time.monotonic() - began)


FLOORS: Mapping[str, Callable[[Path, float], float]] = {
    "fdatasync of a page": _fsync,
    "fork and wait": _fork,
    "sleep for 10 ms": _sleep,
    "store one job, durable commit": _commits,
    "store many jobs, executemany": _executemany,
} | {
    f"claim and settle, batches of {batch}, {synchronous}": partial(
        _claim_and_settle, synchronous, batch
    )
    for synchronous in ("NORMAL", "FULL")
    for batch in (1, 8, 64)
}
