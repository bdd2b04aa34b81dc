"""What the upgrade of a file of GigQ 0.5.1 would lose or break is refused before it begins."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from typing import TYPE_CHECKING, Any

import pytest
from support.old_files import OldFile

from gigq.errors import UnsupportedStore
from gigq.store import migrate
from gigq.store.database import Database
from gigq.store.sqlite import connections
from gigq.store.upgrade_0_5_1 import user_objects
from gigq.store.verbs import jobs

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.only("sqlite")

REBUILT = """
    CREATE TABLE rebuilt (
        id TEXT PRIMARY KEY, name TEXT NOT NULL{name}, function_name TEXT NOT NULL,
        function_module TEXT NOT NULL, params TEXT, "Priority" INTEGER DEFAULT {priority},
        dependencies TEXT, max_attempts INTEGER DEFAULT 3, timeout INTEGER DEFAULT 300,
        description TEXT, status TEXT NOT NULL{status}, Created_At TEXT NOT NULL,
        updated_at TEXT NOT NULL, attempts INTEGER DEFAULT 0, [Result] TEXT, error TEXT,
        started_at TEXT, completed_at TEXT, worker_id TEXT{worker}, pass_parent_results INTEGER,
        retry_delay INTEGER DEFAULT 0, retry_after TEXT
    ){options};
    INSERT INTO rebuilt SELECT * FROM jobs;
    DROP TABLE jobs;
    ALTER TABLE rebuilt RENAME TO {table};
"""


@pytest.fixture
def old(address: str) -> OldFile:
    return OldFile(address)


@pytest.fixture
def unopened(address: str) -> Iterator[Database]:
    yield Database(lambda: connections.open_connection(address))
    connections.close_connections()


def script(old: OldFile, text: str) -> None:
    with closing(sqlite3.connect(old.path)) as connection:
        connection.executescript(text)


def dump(address: str) -> list[str]:
    with closing(sqlite3.connect(address)) as connection:
        return [
            *map(str, connection.execute("SELECT type, name, sql FROM sqlite_master")),
            *map(str, connection.execute("SELECT * FROM jobs")),
        ]


def rebuilt(table: str = "jobs", **clauses: str) -> str:
    given = {"name": "", "priority": "0", "status": "", "worker": "", "options": "", **clauses}
    return REBUILT.format(table=table, **given)


def refusal(unopened: Database, address: str) -> str:
    """Return why a file is not upgraded; a look at it says the same, and nothing changes."""
    before = dump(address)
    with pytest.raises(UnsupportedStore) as looked:
        migrate.refuse_obstacles(unopened)
    with pytest.raises(UnsupportedStore, match="Nothing was changed") as refused:
        migrate.apply(unopened)
    assert str(looked.value) == str(refused.value)
    assert dump(address) == before
    return str(refused.value)


@pytest.mark.parametrize("table", ["jobs", "job_executions"])
def test_a_column_with_the_name_of_the_row_numbers_is_refused(
    old: OldFile, unopened: Database, address: str, table: str
) -> None:
    old.job("a"), old.execution("e", "a")
    script(old, f"ALTER TABLE {table} ADD COLUMN RowId INTEGER DEFAULT 1")

    assert f"column {table}.RowId (" in refusal(unopened, address)


@pytest.mark.parametrize("table", ["jobs", "Jobs"])
def test_columns_in_another_case_keep_their_values(
    old: OldFile, unopened: Database, table: str
) -> None:
    old.job("a", priority=7, status="completed", result='{"r": 1}')
    script(old, rebuilt(table))
    script(old, "ALTER TABLE job_executions RENAME COLUMN result TO RESULT")
    old.execution("e", "a", status="completed", result="[5]")
    migrate.apply(unopened)
    row, (execution,) = jobs.get(unopened, "a") or {}, jobs.executions(unopened, "a")

    assert (row["priority"], row["result"]) == (7, '{"r": 1}')
    assert row["created_at"].startswith("2026-01-01")
    assert execution["result"] == "[5]"


@pytest.mark.parametrize(
    ("clauses", "named"),
    [
        ({"name": " UNIQUE"}, "UNIQUE of column jobs.name ("),
        ({"name": " COLLATE\nNOCASE"}, "COLLATE NOCASE of column jobs.name ("),
        ({"status": " CHECK (status <> 'odd')"}, "CHECK (status <> 'odd') of column jobs.status ("),
        ({"worker": " REFERENCES workers (id)"}, "REFERENCES workers (id) of column jobs.worker"),
        ({"priority": "5"}, "DEFAULT 5 of column jobs.Priority ("),
        ({"options": "STRICT"}, "table jobs (it is STRICT)"),
    ],
)
def test_what_a_user_put_on_columns_of_gigq_is_refused(
    old: OldFile, unopened: Database, address: str, clauses: dict[str, str], named: str
) -> None:
    old.job("a")
    script(old, rebuilt(**clauses))

    assert named in refusal(unopened, address)


@pytest.mark.parametrize(
    ("added", "named"),
    [
        ("CREATE TABLE gigq_old_jobs (a)", "table gigq_old_jobs ("),
        ("CREATE VIEW GigQ_old_executions AS SELECT 1", "view GigQ_old_executions ("),
        (
            "DROP TABLE job_executions; CREATE VIEW job_executions AS SELECT 1 AS id",
            "view job_executions (",
        ),
    ],
)
def test_names_that_the_upgrade_itself_needs_are_in_the_list(
    old: OldFile, unopened: Database, address: str, added: str, named: str
) -> None:
    old.job("a")
    script(old, added + "; CREATE INDEX jobs_due ON jobs (name)")
    text = refusal(unopened, address)

    assert named in text
    assert "index jobs_due (" in text


@pytest.mark.parametrize(
    "event", ["UPDATE OF status ON jobs", "INSERT ON jobs", "DELETE ON job_executions"]
)
def test_a_trigger_that_calls_what_a_schema_may_not_call_is_refused(
    old: OldFile, unopened: Database, address: str, event: str
) -> None:
    old.job("a")
    with unopened.read() as session:  # as an application does that has functions of its own
        session.connection.create_function("untrusted", 1, str)
    script(old, f"CREATE TRIGGER odd AFTER {event} BEGIN SELECT untrusted(1); END")

    assert "trigger odd (unsafe use of untrusted()" in refusal(unopened, address)


@pytest.mark.parametrize(
    "added",
    [
        "CREATE INDEX odd ON jobs (untrusted(name))",
        "ALTER TABLE jobs ADD COLUMN odd TEXT AS (untrusted(name))",
    ],
)
def test_a_schema_that_sqlite_does_not_read_is_not_called_damaged(
    old: OldFile, unopened: Database, address: str, added: str
) -> None:
    old.job("a")
    with unopened.read() as session:
        session.connection.create_function("untrusted", 1, str, deterministic=True)
    with closing(sqlite3.connect(address)) as connection:
        connection.create_function("untrusted", 1, str, deterministic=True)
        connection.executescript(added)
    with pytest.raises(UnsupportedStore, match=r"unsafe use of untrusted\(\).*Nothing was changed"):
        migrate.apply(unopened)


def test_json_in_a_trigger_works_after_the_upgrade_or_is_refused_before_it(
    old: OldFile, unopened: Database, address: str
) -> None:
    old.job("a", params='{"p": "x"}')
    script(
        old,
        "CREATE TABLE seen (p); CREATE TRIGGER see AFTER UPDATE ON jobs BEGIN "
        "INSERT INTO seen VALUES (json_extract(new.params, '$.p')); END",
    )
    try:
        migrate.apply(unopened)
    except UnsupportedStore as refused:
        assert "trigger see (unsafe use of json_extract()" in str(refused)  # noqa: PT017
    else:
        with unopened.transaction(durable=True) as session:
            session.connection.execute("UPDATE jobs SET description = 'd'")
            rows = session.connection.execute("SELECT p FROM seen").fetchall()
            assert [tuple(row) for row in rows] == [("x",)]


def test_a_copy_that_lacks_a_row_is_undone(
    old: OldFile, unopened: Database, address: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    old.job("a"), old.job("b")
    before = dump(address)
    create = user_objects.add_columns

    def block(session: Any, table: user_objects.OldTable) -> None:
        create(session, table)
        if table.name == "jobs":
            session.connection.execute(
                "CREATE TEMP TRIGGER lose BEFORE INSERT ON main.jobs WHEN new.id = 'b' "
                "BEGIN SELECT RAISE(IGNORE); END"
            )

    monkeypatch.setattr(user_objects, "add_columns", block)
    with pytest.raises(UnsupportedStore, match=r"rows of table jobs \(1 of 2"):
        migrate.apply(unopened)

    assert dump(address) == before


def test_a_row_that_breaks_a_rule_of_today_is_named(
    old: OldFile, unopened: Database, address: str
) -> None:
    script(old, rebuilt().replace("id TEXT PRIMARY KEY", "id TEXT"))
    old.job("twice"), old.job("twice")
    before = dump(address)
    with pytest.raises(UnsupportedStore, match=r"a row of table jobs \(UNIQUE.*jobs.id"):
        migrate.apply(unopened)

    assert dump(address) == before


def test_an_index_of_the_user_with_the_name_of_an_old_one_stays(
    old: OldFile, unopened: Database, address: str
) -> None:
    script(old, "DROP INDEX idx_jobs_status; CREATE UNIQUE INDEX idx_jobs_status ON jobs (name)")
    migrate.apply(unopened)

    with closing(sqlite3.connect(address)) as connection:
        kept = connection.execute("SELECT sql FROM sqlite_master WHERE name = 'idx_jobs_status'")
        assert kept.fetchall() == [("CREATE UNIQUE INDEX idx_jobs_status ON jobs (name)",)]


def test_a_name_that_other_programs_use_is_said_without_old_tables_too(
    address: str, unopened: Database
) -> None:
    with closing(sqlite3.connect(address)) as connection:
        connection.executescript("CREATE VIEW jobs AS SELECT 1 AS id")

    with pytest.raises(UnsupportedStore, match=r"no queue in it.*view jobs \(gigq needs"):
        migrate.apply(unopened)
