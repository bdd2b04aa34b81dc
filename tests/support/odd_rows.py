"""Rows of `jobs` as foreign SQL may leave them, and what is to become of each."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from support.ledger import insert, job_row

if TYPE_CHECKING:
    from gigq.store.database import Database

MANY = "replace(hex(zeroblob(50000)), '00', '{}')"
DEEP = f"""'{{"a": ' || {MANY.format("[")} || {MANY.format("]")} || '}}'"""

FAILED = (
    # column, SQL expression, what the error says
    ("name", "x'00ff'", r"the column name of the job holds b'\x00\xff', which is no text"),
    ("name", "x''", "the column name of the job holds b'', which is no text"),
    ("id", "x'00ff01'", "the column id of the job holds"),
    ("id", "x''", "the column id of the job holds b''"),
    ("id", "CAST(x'c3' AS TEXT)", "the column id of the job holds text that is not UTF-8"),
    ("queue", "x'00ff'", "the column queue of the job holds"),
    ("queue", "CAST(x'c3' AS TEXT)", "the column queue of the job holds"),
    (
        "attempts",
        "-4611686018427387904",
        "the column attempts of the job holds -4611686018427387903",
    ),
    ("attempts", "9223372036854775807", "the column attempts of the job holds 9.22"),
    ("attempts", "2147483647", "the column attempts of the job holds 2147483648"),
    ("attempts", "1e300", "the column attempts of the job holds 1e+300"),
    ("max_attempts", "'many'", "the column max_attempts of the job holds 'many'"),
    ("memory_limit", "-1", "the column memory_limit of the job holds -1"),
    ("memory_limit", "1e30", "the column memory_limit of the job holds 1e+30"),
    ("memory_limit", "x'01'", "the column memory_limit of the job holds"),
    ("timeout", "'soon'", "the column timeout of the job holds 'soon', which is no number"),
    ("timeout", "-1", "the column timeout of the job holds -1"),
    ("timeout", "9e999", "the column timeout of the job holds inf"),
    ("params", DEEP, "which is nested too deeply"),
    ("params", "'[1'", "the column params of the job holds '[1', which is not JSON"),
    ("params", "'[1]'", "the column params of the job holds '[1]', which is no object"),
    ("params", "'\"text\"'", "which is no object"),
    ("params", "5", "which is no object"),
    ("params", "x'ff'", "the column params of the job holds"),
    ("params", "CAST(x'7b2261223a2022c3227d' AS TEXT)", "the column params of the job holds"),
    ("params", "'{\"n\": ' || replace(hex(zeroblob(3000)), '00', '11') || '}'", "not JSON"),
    ("dependencies", "5", "which is no list of job ids"),
    ("dependencies", "'\"abc\"'", "which is no list of job ids"),
    ("dependencies", "'[[1]]'", "which is no list of job ids"),
    ("dependencies", "x'ff'", "the column dependencies of the job holds"),
    ("function_module", "x'ff'", "the column function_module of the job holds"),
    ("function_name", "x'ff'", "the column function_name of the job holds"),
    ("function_name", "CAST(x'c3' AS TEXT)", "the column function_name of the job holds"),
    ("function_file", "x'ff'", "the column function_file of the job holds"),
    *(
        (column, "x''", f"the column {column} of the job holds b'', which is no")
        for column in (
            *("max_attempts", "timeout", "memory_limit", "params", "dependencies"),
            *("function_module", "function_name"),
        )
    ),
)
"""Those with which no job can be run: they are failed, and the error says why."""

COMPLETED = (
    ("name", "CAST(x'66c366' AS TEXT)"),
    ("name", "replace(hex(zeroblob(5000000)), '00', 'ab')"),
    ("memory_limit", "9223372036854775807"),
    ("timeout", "9223372036854775807"),
    ("timeout", "1e300"),
    ("priority", "x'ff'"),
    ("priority", "9e999"),
    ("created_at", "x'ff'"),
    ("created_at", "'nonsense'"),
    ("updated_at", "x'ff'"),
    ("started_at", "x'ff'"),
    ("description", "x'ff'"),
    ("retry_delay", "'later'"),
    ("crashes", "'many'"),
    ("refunds", "x'ff'"),
    ("attempts", "'few'"),
    ("max_attempts", "9223372036854775807"),
    ("on_parent_failure", "x'ff'"),
    ("worker_id", "x'ff'"),
    ("execution_id", "x'ff'"),
    ("pass_parent_results", "'perhaps'"),
    ("error", "x'ff'"),
    *(
        (column, "x''")
        for column in (
            *("queue", "priority", "created_at", "updated_at", "started_at", "completed_at"),
            *("attempts", "refunds", "crashes", "retry_delay", "backoff", "on_parent_failure"),
            *("pass_parent_results", "worker_id", "execution_id", "cause", "function_file"),
            *("description", "error", "result", "crash_limit"),
        )
    ),
)
"""Those that do not matter to the job: it is run."""


def store(db: Database, rows: tuple[tuple[str, ...], ...], mark: str) -> None:
    """Store one job for each row, with a mark and a number by which it is found, and spoil it."""
    with db.read() as session:
        connection = session.connection
    for number, (column, value, *_) in enumerate(rows):
        where = {"function_module": "support.jobs_to_run", "function_name": "nothing"}
        (job_id,) = insert(db, [job_row(**where, workflow=f"{mark}-{number}")])
        connection.execute(f"UPDATE jobs SET {column} = {value} WHERE id = ?", (job_id,))


def read(db: Database, sql: str) -> list[dict[str, Any]]:
    """The rows of a statement of the test's own."""
    with db.read() as session:
        cursor = session.connection.cursor()
    cursor.row_factory = None
    rows = cursor.execute(sql).fetchall()
    names = [column[0] for column in cursor.description]
    return [dict(zip(names, row, strict=True)) for row in rows]


def wrong(db: Database) -> list[str]:
    """What has not become of the odd rows what should have."""
    found = {
        row["workflow"]: (row["status"], str(row["error"]))
        for row in read(db, "SELECT workflow, status, error FROM jobs")
    }
    failed = [
        f"{odd}: {found[f'failed-{number}']}"
        for number, odd in enumerate(FAILED)
        if found[f"failed-{number}"][0] != "failed" or odd[2] not in found[f"failed-{number}"][1]
    ]
    return failed + [
        f"{odd}: {found[f'completed-{number}']}"
        for number, odd in enumerate(COMPLETED)
        if found[f"completed-{number}"][0] != "completed"
    ]
