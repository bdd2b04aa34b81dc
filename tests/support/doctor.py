"""A queue on a PostgreSQL server, and what `gigq doctor` finds there."""

from __future__ import annotations

import json
from contextlib import closing, contextmanager
from dataclasses import replace

import psycopg
import pytest
from support.stores import address_of

from gigq import Job, JobQueue
from gigq.model.ids import new_id


@pytest.fixture
def empty(tmp_path):
    """The address of a schema without tables."""
    with address_of("postgres", tmp_path) as address:
        yield address


@pytest.fixture
def address(empty):
    """The address of a queue with one job."""
    queue = JobQueue(empty)
    queue.submit(Job("a job", json.dumps, params={"obj": 1}))
    queue.close()
    return empty


@pytest.fixture
def admin(empty):
    """Another program's connection, as the superuser."""
    with closing(psycopg.connect(empty, autocommit=True)) as connection:
        yield connection


@pytest.fixture
def role(admin):
    """A role without rights but the use of the schema."""
    name = f"role_{new_id().replace('-', '')}"
    admin.execute(f"CREATE ROLE {name} LOGIN")
    (schema,) = admin.execute("SELECT current_schema()").fetchone()
    admin.execute(f"GRANT USAGE ON SCHEMA {schema} TO {name}")
    yield name
    admin.execute(f"DROP OWNED BY {name}")
    admin.execute(f"DROP ROLE {name}")


def examined(shell, address, *, code=None):
    """The findings by check."""
    done = shell.run("doctor", "--json", "--db", address)
    assert done.stderr == ""
    report = json.loads(done.stdout)
    assert done.returncode == (0 if report["worst"] in ("ok", "note") else 1)
    return {one["check"]: one for one in report["findings"]}, report


def said_of(shell, address, check):
    """What all findings of one check that are not in order say."""
    _, report = examined(shell, address)
    return " ".join(
        one["found"]
        for one in report["findings"]
        if one["check"] == check and one["severity"] != "ok"
    )


@contextmanager
def other_session(address, *statements, **settings):
    """A session that has run statements in a transaction that stays open."""
    with closing(psycopg.connect(address, **settings)) as connection:
        for statement in statements:
            connection.execute(statement)
        yield connection.info.backend_pid


def changed(inspected, name, **values):
    """The inspection with other values in each row of a list."""
    rows = [row | values for row in inspected.rows(name)]
    return replace(inspected, lists={**inspected.lists, name: rows})
