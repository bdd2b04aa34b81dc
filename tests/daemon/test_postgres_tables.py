"""A daemon on PostgreSQL whose tables go away, or out of its sight, and come back."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import psycopg
import pytest
from support import jobs, postgres, stores
from support.postgres_roles import ALL_RIGHTS, role
from support.waiting import wait_until

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from support.daemon import Daemon

pytestmark = [
    pytest.mark.daemon,
    pytest.mark.parametrize("daemons", ["postgres"], indirect=True),
]

TABLES = ", ".join(postgres.TABLES)


@pytest.fixture
def daemon(daemons: Callable[..., Daemon]) -> Daemon:
    return daemons({"pools.default.size": 2})


@pytest.fixture
def administrator(daemon: Daemon) -> Iterator[psycopg.Connection[Any]]:
    with psycopg.connect(daemon.address, autocommit=True) as connection:
        yield connection


@pytest.mark.parametrize(
    ("loss", "reason", "return_of_schema"),
    [
        (f"DROP TABLE {TABLES}", "create a queue with gigq migrate", "SELECT 1"),
        ("DROP SCHEMA {schema} CASCADE", "there is no schema", "CREATE SCHEMA {schema}"),
    ],
    ids=["tables", "schema"],
)
def test_tables_that_are_dropped_make_it_degraded_until_there_are_others(
    daemon: Daemon,
    administrator: psycopg.Connection[Any],
    loss: str,
    reason: str,
    return_of_schema: str,
) -> None:
    for rule in ("P4", "P6"):
        daemon.breaks(rule, "the execution of a job is dropped")
    (schema,) = administrator.execute("SELECT current_schema()").fetchone() or ("",)
    workers, go = daemon.worker_pids(), daemon.home / "go"
    daemon.submit(jobs.wait_for_file, "runs", {"path": str(go)}, max_attempts=1)
    daemon.wait_for_calls("runs")
    administrator.execute(loss.format(schema=schema))
    wait_until(lambda: reason in str(daemon.status()["reason"]))
    assert daemon.status()["state"] == "degraded"

    go.touch()
    # The job ends as usual, and its outcome waits until it turns out that there is no such job.
    wait_until(lambda: daemon.events("database_error"))
    administrator.execute(return_of_schema.format(schema=schema))
    migrate = [sys.executable, "-m", "gigq", "--db", daemon.address, "migrate"]
    subprocess.run(migrate, check=True, stdout=subprocess.DEVNULL)
    daemon.wait_for_job(daemon.submit(jobs.ok, "later"), "completed")
    wait_until(lambda: daemon.status()["state"] == "running")
    wait_until(lambda: daemon.events("job.superseded"))

    assert daemon.worker_pids() == workers
    assert [len(daemon.events(name)) for name in ("db_down", "worker_exited")] == [1, 0]
    assert len(daemon.events("database_error")) <= len(workers)


def test_a_part_of_the_tables_is_named_by_what_is_missing(
    daemon: Daemon, administrator: psycopg.Connection[Any]
) -> None:
    administrator.execute("ALTER TABLE job_executions RENAME TO elsewhere")
    wait_until(lambda: "and not job_executions; restore" in str(daemon.status()["reason"]))

    administrator.execute("ALTER TABLE elsewhere RENAME TO job_executions")
    daemon.wait_for_job(daemon.submit(jobs.ok, "later"), "completed")
    wait_until(lambda: daemon.status()["state"] == "running")


def test_a_search_path_without_the_tables_makes_it_degraded_until_it_is_corrected(
    daemons: Callable[..., Daemon],
) -> None:
    daemon = daemons(start=False)
    address = daemon.address
    stores.begun_at(address)
    with (
        role(address, *ALL_RIGHTS) as of_role,
        psycopg.connect(address, autocommit=True) as administrator,
    ):
        (schema,) = administrator.execute("SELECT current_schema()").fetchone() or ("",)
        user = str(urlsplit(of_role).username)
        follow = f"ALTER ROLE {user} SET search_path = {schema}"
        administrator.execute(follow)
        daemon.configure({"queue.database": postgres.as_role(postgres.server(), user)})
        daemon.start()
        daemon.configure({"queue.database": address})  # for this process, which looks from outside
        administrator.execute(follow.replace(schema, "absent"))
        administrator.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = %s", (user,)
        )
        wait_until(lambda: "name one with ?schema=NAME" in str(daemon.status()["reason"]))

        administrator.execute(follow)
        daemon.wait_for_job(daemon.submit(jobs.ok, "later"), "completed")
        wait_until(lambda: daemon.status()["state"] == "running")
        daemon.finish()
        daemon.abandon()
