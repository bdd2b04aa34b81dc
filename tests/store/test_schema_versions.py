"""The versions of the schema that a program may use, and the statements of the migrations."""

from __future__ import annotations

import re
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest

from gigq import JobQueue
from gigq.errors import SchemaTooNew, StoreUnavailable
from gigq.store import migrate, schema_versions
from gigq.store.dialect import POSTGRES, SQLITE, dialect_of
from gigq.store.verbs import jobs, processes
from gigq.store.verbs.processes import Process

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from gigq.store.database import Database

FIRST_WITH_STATEMENT = {POSTGRES: 5, SQLITE: 15}
ADDITIVE = re.compile(
    r"CREATE TABLE [a-z_]+ \(.*\)( WITH \(.*\))?"
    r"|CREATE INDEX [a-z_]+ ON gigq_[a-z_]+ .*"
    r"|ALTER TABLE [a-z_]+ ADD COLUMN [a-z_]+ (?!.*NOT NULL(?!.* DEFAULT))(?!.*(UNIQUE|PRIMARY)).*",
    re.DOTALL,
)
"""Statements after which those of an older version work as before.

An index of a large table would keep writers waiting while it is built.
"""

LATER = [
    pytest.param(dialect, number, path, id=f"{dialect}-{path.stem}")
    for dialect, first in FIRST_WITH_STATEMENT.items()
    for number, path in schema_versions.steps(dialect)
    if number >= first
]


def add_version(db: Database, number: int, usable_from: int | None) -> None:
    """Record a migration as a later gigq would."""
    stated = {"usable_from": usable_from, "applied_by": "9.1.0"}
    with db.transaction(durable=True) as session:
        session.run("record_stated_version", {"version": number, "now": session.now, **stated})


def known_by(db: Database) -> int:
    with db.read() as session:
        return schema_versions.latest(dialect_of(session.connection))


@pytest.mark.parametrize(("dialect", "number", "path"), LATER)
def test_each_migration_states_from_which_version_on_programs_may_use_it(
    dialect: str, number: int, path: Path
) -> None:
    stated = schema_versions.usable_from(path)

    assert stated is not None, f"{path.name}: begin it with -- usable from: N"
    assert FIRST_WITH_STATEMENT[dialect] <= stated <= number


@pytest.mark.parametrize(("dialect", "number", "path"), LATER)
def test_a_migration_that_older_programs_may_use_only_adds(
    dialect: str, number: int, path: Path
) -> None:
    if schema_versions.usable_from(path) == number:
        return
    lines = path.read_text(encoding="utf-8").splitlines()
    text = "\n".join(re.sub("--.*", "", line) for line in lines)
    statements = [" ".join(one.split()) for one in text.split(";") if one.strip()]

    assert [one for one in statements if not ADDITIVE.fullmatch(one)] == []


@pytest.mark.parametrize(
    "statement",
    [
        "ALTER TABLE jobs RENAME COLUMN error TO failure",
        "ALTER TABLE jobs DROP COLUMN error",
        "ALTER TABLE jobs ADD COLUMN later TEXT NOT NULL",
        "DROP INDEX jobs_due",
        "CREATE INDEX jobs_later ON jobs (later)",
        "CREATE TRIGGER t BEFORE UPDATE ON jobs FOR EACH ROW EXECUTE FUNCTION f()",
    ],
)
def test_a_statement_that_older_programs_may_not_survive_is_found(statement: str) -> None:
    assert not ADDITIVE.fullmatch(statement)


def test_a_newer_database_is_used_if_its_versions_allow_it(db: Database, address: str) -> None:
    known = known_by(db)
    add_version(db, known + 1, known)
    add_version(db, known + 2, known - 1)

    migrate.apply(db)
    later = migrate.refuse_newer(db)
    with JobQueue(address) as queue:
        assert queue.stats()["total"] == 0
    assert later == (known + 2, known, known, "9.1.0")
    assert later is not None
    assert str(later) == f"schema {known + 2} from gigq 9.1.0, and this gigq knows {known}"
    assert jobs.counts(db) == {}


@pytest.mark.parametrize("ahead", [None, 1])
def test_a_newer_database_is_refused_after_one_version_that_needs_a_newer_gigq(
    db: Database, ahead: int | None
) -> None:
    known = known_by(db)
    add_version(db, known + 1, ahead and known + ahead)
    add_version(db, known + 2, known)

    with pytest.raises(SchemaTooNew, match=f"knows {known + 1} or later.* upgrade gigq here"):
        migrate.apply(db)
    with pytest.raises(SchemaTooNew, match=f"schema {known + 2} from gigq 9.1.0"):
        migrate.refuse_newer(db)


@pytest.mark.only("postgres")
def test_of_several_migrations_the_one_that_needs_the_newest_gigq_counts(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    found = []
    for number, oldest in ((7, 5), (8, 8), (9, 5)):
        found.append((number, tmp_path / f"{number}.sql"))
        found[-1][1].write_text(f"-- usable from: {oldest}\n")
    monkeypatch.setattr(schema_versions, "steps", lambda _dialect: found)

    assert schema_versions.usable_after(POSTGRES, 6) == 8
    assert schema_versions.usable_after(POSTGRES, 8) == 5


@contextmanager
def leased(db: Database, schema: int | None, *, goes_on: bool = True) -> Iterator[None]:
    """A process of another host whose gigq knows a schema; None where it states none."""
    processes.renew(db, Process("gigqd:far", "gigqd", "far", 77, "0.0.9", 60.0))
    known, ends_at = schema or "NULL", "lease_ends_at" if goes_on else "'2026-01-01'"
    with db.transaction(durable=False) as session:
        session.connection.execute(
            f"UPDATE gigq_processes SET knows_schema = {known}, lease_ends_at = {ends_at}"
        )
    yield
    processes.forget(db, "gigqd:far")


@pytest.mark.only("postgres")
@pytest.mark.parametrize("states", [True, False])
def test_a_migration_that_a_process_of_another_host_does_not_know_is_refused(
    db: Database, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, states: bool
) -> None:
    known = known_by(db)
    step = tmp_path / f"{known + 1:03}_later.sql"
    step.write_text(f"-- usable from: {known + 1}\nALTER TABLE jobs ADD COLUMN later TEXT;\n")
    found = schema_versions.steps(POSTGRES)
    monkeypatch.setattr(schema_versions, "steps", lambda _dialect: [*found, (known + 1, step)])
    monkeypatch.setattr(migrate, "steps", schema_versions.steps)
    monkeypatch.setattr(migrate, "latest", lambda _dialect: known + 1)

    refused = pytest.raises(StoreUnavailable, match=r"process 77 on far \(0.0.9\).*Nothing was")
    with leased(db, known if states else None), refused:
        migrate.apply(db)
    with leased(db, known + 1) if states else leased(db, known, goes_on=False):
        migrate.apply(db)

    assert db.all("schema_version") == [{"version": known + 1}]


@pytest.mark.only("postgres")
def test_a_renewal_states_what_the_process_knows_now(
    db: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    process = Process("gigqd:far", "gigqd", "far", 77, "0.0.9", 60.0)
    processes.renew(db, process)
    monkeypatch.setattr(schema_versions, "latest", lambda _dialect: 99)
    processes.renew(db, process._replace(info='{"name": "new"}'))

    with db.read() as session:
        assert not session.all("processes_behind", {"schema": 99, "now": session.now})
    assert db.all("processes")[0]["info"] == '{"name": "new"}'
