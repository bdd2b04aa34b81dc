"""A daemon behind PgBouncer in transaction mode."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

import psycopg
import pytest
from support import jobs, postgres
from support.pgbouncer import pooled
from support.waiting import wait_until

from gigq.store.postgres.address import full_address

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from support.daemon import Daemon

pytestmark = [
    pytest.mark.daemon,
    pytest.mark.parametrize("daemons", ["postgres"], indirect=True),
]


@pytest.fixture(params=[True, False], ids=["with a direct address", "without one"])
def daemon(request: pytest.FixtureRequest, daemons: Callable[..., Daemon]) -> Iterator[Daemon]:
    """A daemon and its submitters, which share two sessions of the server."""
    direct = postgres.server() if request.param else None
    with started(
        daemons,
        lambda pooler, schema: full_address(pooler, schema=schema, pooler=True, direct=direct),
    ) as found:
        yield found


@contextmanager
def started(
    daemons: Callable[..., Daemon], address_of: Callable[[str, str], str]
) -> Iterator[Daemon]:
    """A daemon at an address that is made of that of the pooler and the schema."""
    found = daemons(start=False)
    address = found.address
    with psycopg.connect(address) as connection:
        (schema,) = connection.execute("SELECT current_schema()").fetchone() or ("",)
    with pooled("transaction", schema=schema, size=2) as pooler:
        found.configure({"queue.database": address_of(pooler, schema)})
        found.start()
        yield found
        found.queue.close()
        found.configure({"queue.database": address})  # for the checks, by plain SQL
        found.finish()


def test_jobs_run_once_fail_and_are_cancelled(daemon: Daemon) -> None:
    good = [daemon.submit(jobs.ok, f"job {number}") for number in range(20)]
    bad = daemon.submit(jobs.boom, "bad", max_attempts=1)
    long = daemon.submit(jobs.wait_for_file, "long", {"path": "/missing"}, max_attempts=1)
    daemon.wait_for_calls("long")
    assert daemon.queue.cancel(long, running=True)

    for job_id in good:
        daemon.wait_for_job(job_id, "completed")
    daemon.wait_for_job(bad, "failed")
    daemon.wait_for_job(long, "cancelled")
    assert [len(daemon.calls(f"job {number}")) for number in range(20)] == [1] * 20


def test_a_pooler_that_is_not_declared_stops_nothing_and_is_named(
    daemons: Callable[..., Daemon],
) -> None:
    with started(daemons, lambda pooler, _schema: pooler) as daemon:
        for number in range(60):
            daemon.submit(jobs.ok, f"job {number}")
        wait_until(lambda: daemon.events("store.undeclared_pooler"))
        daemon.submit(jobs.ok, "last")

        wait_until(lambda: daemon.queue.stats()["completed"] == 61)
        assert daemon.events("database_error") == []


def test_the_server_lists_the_sessions_of_the_daemon_by_name(daemon: Daemon) -> None:
    daemon.wait_for_job(daemon.submit(jobs.ok, "one"), "completed")

    # The session of a pooler has the name of the client that has used it last.
    with psycopg.connect(postgres.server(), autocommit=True) as connection:
        wait_until(lambda: ("gigq daemon",) in names(connection))


def names(connection: psycopg.Connection) -> list[tuple[str]]:
    return connection.execute("SELECT application_name FROM pg_stat_activity").fetchall()


def test_a_check_reports_a_pooler_only_where_there_is_none(daemon: Daemon) -> None:
    through = daemon.command("check", "--db")
    server = postgres.with_option(postgres.server(), "pooler=true")
    daemon.configure({"queue.database": server})
    directly = daemon.command("check", "--db")
    daemon.configure({"queue.database": daemon.address})

    assert (through.returncode, directly.returncode) == (0, 0)
    assert "pooler" not in through.stdout.partition("readable and writable")[2]
    assert "pooler = true is not needed, since no pooler is on the way" in directly.stdout
