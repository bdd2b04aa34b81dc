"""Files of each earlier schema, with a finished, a running and a waiting job."""

from __future__ import annotations

from contextlib import closing

from gigq.model.ids import new_id
from gigq.store import schema_versions
from gigq.store.database import Database
from gigq.store.sqlite import transactions
from gigq.store.sqlite.connections import close_connection, open_connection

AT = "2026-01-01T12:00:00.000000+00:00"
STATES = ("completed", "running", "pending")


def make_file(path: str, version: int) -> None:
    """Make a database as a gigq that knew only `version` schemas left it."""
    with Database(lambda: open_connection(path)).transaction(durable=True) as session:
        session.run("create_schema_table")
        for number, file in schema_versions.steps("sqlite"):
            if number <= version:
                for statement in transactions._split(file.read_text(encoding="utf-8")):
                    session.connection.execute(statement)
                session.run("record_schema_version", {"version": number, "now": AT})
    with closing(open_connection(path)) as connection:
        for state in STATES:
            _add(connection, state)
    close_connection(path)


def _add(connection, state):
    execution = None if state == "pending" else new_id()
    connection.execute(
        "INSERT INTO jobs (id, name, function_module, function_name, params, status, created_at,"
        " updated_at, attempts, execution_id) VALUES (?, ?, 'os', 'getpid', '{}', ?, ?, ?, ?, ?)",
        (state, state, state, AT, AT, int(execution is not None), execution),
    )
    if execution:
        connection.execute(
            "INSERT INTO job_executions (id, job_id, worker_id, run, status, started_at)"
            " VALUES (?, ?, 'w', 'worker:1', ?, ?)",
            (execution, state, state, AT),
        )
