"""Database files as GigQ 0.5.1 and its predecessors made them."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from typing import Any

LATER_COLUMNS = ("pass_parent_results INTEGER", "retry_delay INTEGER DEFAULT 0", "retry_after TEXT")

_JOBS = """
    CREATE TABLE jobs (
        id TEXT PRIMARY KEY, name TEXT NOT NULL, function_name TEXT NOT NULL,
        function_module TEXT NOT NULL, params TEXT, priority INTEGER DEFAULT 0, dependencies TEXT,
        max_attempts INTEGER DEFAULT 3, timeout INTEGER DEFAULT 300, description TEXT,
        status TEXT NOT NULL, created_at TEXT NOT NULL, updated_at TEXT NOT NULL,
        attempts INTEGER DEFAULT 0, result TEXT, error TEXT, started_at TEXT, completed_at TEXT,
        worker_id TEXT
    )
"""
_EXECUTIONS = """
    CREATE TABLE job_executions (
        id TEXT PRIMARY KEY, job_id TEXT NOT NULL, worker_id TEXT NOT NULL, status TEXT NOT NULL,
        started_at TEXT NOT NULL, completed_at TEXT, result TEXT, error TEXT,
        FOREIGN KEY (job_id) REFERENCES jobs (id)
    )
"""


def job_row(job_id: str, **columns: Any) -> dict[str, Any]:
    """The columns of a pending job that a program with SQL of its own writes."""
    return {
        "id": job_id,
        "name": job_id,
        "function_name": "work",
        "function_module": "app",
        "params": "{}",
        "status": "pending",
        "created_at": "2026-01-01T12:00:00.000001",
        "updated_at": "2026-01-01T12:00:00.000001",
        **columns,
    }


def insert_row(connection: sqlite3.Connection, table: str, row: dict[str, Any]) -> None:
    """Insert a row into a table of any file."""
    names, places = ", ".join(row), ", ".join(f":{name}" for name in row)
    connection.execute(f"INSERT INTO {table} ({names}) VALUES ({places})", row)


class OldFile:
    """Writes rows into an old file. Texts are stored as they are given."""

    def __init__(self, path: str, *, later_columns: bool = True) -> None:
        self.path = path
        self._execute(_JOBS)
        self._execute(_EXECUTIONS)
        self._execute("CREATE INDEX idx_jobs_status ON jobs (status)")
        self._execute("CREATE INDEX idx_jobs_priority ON jobs (priority)")
        for column in LATER_COLUMNS if later_columns else ():
            self._execute(f"ALTER TABLE jobs ADD COLUMN {column}")

    def job(self, job_id: str, **columns: Any) -> None:
        """Add a job; the columns that are not given are as a submit left them."""
        row = job_row(job_id, **{"dependencies": "[]", **columns})
        self._insert("jobs", row)

    def execution(self, execution_id: str, job_id: str, **columns: Any) -> None:
        """Add an execution, open unless `status` says otherwise."""
        row = {
            "id": execution_id,
            "job_id": job_id,
            "worker_id": "w",
            "status": "running",
            "started_at": "2026-01-01T12:00:01",
            **columns,
        }
        self._insert("job_executions", row)

    def _insert(self, table: str, row: dict[str, Any]) -> None:
        with closing(sqlite3.connect(self.path, isolation_level=None)) as connection:
            insert_row(connection, table, row)

    def _execute(self, sql: str) -> None:
        with closing(sqlite3.connect(self.path, isolation_level=None)) as connection:
            connection.execute(sql)
