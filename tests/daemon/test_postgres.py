"""A daemon on PostgreSQL waits for its server, keeps its workers, and loses nothing."""

from __future__ import annotations

import os
import re
import signal
from contextlib import suppress
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import psycopg
import pytest
from support import jobs, stores
from support.postgres_roles import ALL_RIGHTS, role
from support.waiting import wait_until

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from support.daemon import Daemon

pytestmark = [
    pytest.mark.daemon,
    pytest.mark.parametrize("daemons", ["postgres"], indirect=True),
]


class Server:
    """The server of a daemon, and what its administrator does to the daemon's role."""

    def __init__(self, daemon: Daemon, administrator: psycopg.Connection[Any]) -> None:
        self.address = daemon.address
        self._user = urlsplit(daemon.address).username
        self._administrator = administrator

    def sessions(self) -> int:
        """How many connections the role has."""
        sql = f"SELECT count(*) FROM pg_stat_activity WHERE usename = '{self._user}'"
        return int(*self.ask(sql))

    def ask(self, statement: str) -> tuple[Any, ...]:
        """Return the first row of a statement."""
        row = self._administrator.execute(statement).fetchone()
        assert row is not None
        return row

    def end_sessions(self) -> None:
        """End every connection of the role."""
        sql = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = %s"
        self._administrator.execute(sql, (self._user,))

    def alter(self, change: str) -> None:
        """Change the role, for connections from now on."""
        self._administrator.execute(f"ALTER ROLE {self._user} {change}")
        self.end_sessions()


@pytest.fixture
def served(daemons: Callable[..., Daemon]) -> Iterator[tuple[Daemon, Server]]:
    """A daemon with two workers whose role is its own."""
    daemon = daemons(start=False, lease=180)
    address = daemon.address
    stores.begun_at(address)
    with (
        role(address, *ALL_RIGHTS) as of_role,
        psycopg.connect(address, autocommit=True) as administrator,
    ):
        daemon.configure({"queue.database": of_role})
        daemon.start()
        server = Server(daemon, administrator)
        daemon.configure({"queue.database": address})  # for this process, which looks from outside
        yield daemon, server
        daemon.configure({"queue.database": address})
        daemon.finish()
        daemon.abandon()


def _running_job(daemon: Daemon) -> tuple[str, Any]:
    """A job that runs until its file is made."""
    go = daemon.home / "go"
    job_id = daemon.submit(jobs.wait_for_file, "runs", {"path": str(go)}, max_attempts=1)
    daemon.wait_for_calls("runs")
    return job_id, go


def test_connections_that_are_ended_are_made_again_and_the_workers_stay(served):
    daemon, server = served
    workers = daemon.worker_pids()
    job_id, go = _running_job(daemon)
    server.end_sessions()
    go.touch()
    later = daemon.submit(jobs.ok, "later")

    assert daemon.wait_for_job(job_id)["status"] == "completed"
    assert daemon.wait_for_job(later)["status"] == "completed"
    assert daemon.worker_pids() == workers
    assert daemon.events("worker_exited") == []


@pytest.mark.fault("G3")
def test_a_daemon_that_comes_back_to_a_read_only_server_says_so_before_it_has_to_write(served):
    daemon, server = served
    before = len(daemon.log())
    server.alter("SET default_transaction_read_only = on")
    # Otherwise it would write first when it renews its lease, a third of its length later.
    wait_until(lambda: "read-only transaction" in str(daemon.status()["reason"]))

    states = [one["event"] for one in daemon.log()[before:] if one["event"].startswith("db_")]
    assert states == ["db_down"]
    server.alter("RESET default_transaction_read_only")
    wait_until(lambda: daemon.status()["state"] == "running")


@pytest.mark.fault("G3")
def test_a_server_that_accepts_no_connection_makes_it_degraded_and_it_heals(served):
    daemon, server = served
    workers = daemon.worker_pids()
    job_id, go = _running_job(daemon)
    server.alter("CONNECTION LIMIT 0")
    # Before that the reason is that the sessions were ended.
    wait_until(lambda: "too many connections" in str(daemon.status()["reason"]))
    go.touch()

    assert daemon.status()["state"] == "degraded"
    server.alter("CONNECTION LIMIT -1")
    wait_until(lambda: daemon.status()["state"] == "running", 10)
    assert daemon.wait_for_job(job_id)["status"] == "completed"
    assert daemon.worker_pids() == workers


def test_on_a_server_that_is_read_only_jobs_wait_and_outcomes_are_kept(served):
    daemon, server = served
    workers = daemon.worker_pids()
    job_id, go = _running_job(daemon)
    server.alter("SET default_transaction_read_only = on")
    go.touch()
    # Before that there may be one about the sessions that were ended.
    wait_until(lambda: any("read-only" in one["error"] for one in daemon.events("database_error")))

    assert daemon.job(job_id)["status"] == "running"
    server.alter("RESET default_transaction_read_only")
    assert daemon.wait_for_job(job_id)["status"] == "completed"
    assert daemon.worker_pids() == workers


def test_each_worker_has_one_connection_and_the_recorder_two(served):
    daemon, server = served
    daemon.wait_for_job(daemon.submit(jobs.ok, "a"))
    wait_until(lambda: server.sessions() == 4, 10)
    daemon.configure({"queue.database": server.address, "pools.default.size": 5})
    daemon.command("reload")

    wait_until(lambda: server.sessions() == 7, 10)
    found = daemon.command("check", "--db")
    assert re.search(r"7 connections needed and \d+ allowed", found.stdout + found.stderr)


def test_a_check_refuses_more_workers_than_the_role_may_have_connections(served):
    daemon, server = served
    server.alter("CONNECTION LIMIT 20")
    daemon.configure({"queue.database": server.address, "pools.default.size": 40})
    found = daemon.command("check", "--db")

    assert found.returncode == 78
    assert "40 workers and the recorder need 42 connections" in found.stderr
    assert "20" in found.stderr


def test_a_superuser_may_have_all_connections_of_the_server(served):
    daemon, server = served
    (most,) = server.ask("SELECT current_setting('max_connections')")
    server.alter("SUPERUSER CONNECTION LIMIT 1")
    daemon.configure({"queue.database": server.address})
    found = daemon.command("check", "--db")

    assert f"4 connections needed and {most} allowed" in found.stdout + found.stderr


def test_the_password_of_the_address_is_shown_without_server(daemons):
    daemon = daemons(start=False)
    parts = urlsplit(daemon.address)
    secret = parts._replace(netloc="postgres:hunter2@" + parts.netloc.rpartition("@")[2]).geturl()
    daemon.configure({"queue.database": secret})
    daemon.start()
    daemon.wait_for_job(daemon.submit(jobs.ok, "a"))
    shown = [daemon.command(*words) for words in (("status",), ("status", "--json"), ("check",))]
    texts = [daemon.log_text(), *(one.stdout + one.stderr for one in shown)]
    texts += [path.read_text() for path in daemon.home.rglob("*.lock")]

    assert all("postgresql://" in text for text in texts[1:3])
    assert not [text for text in texts if "hunter2" in text]


def test_without_a_server_a_start_fails_with_the_reason(daemons):
    daemon = daemons({"daemon.start_timeout": "1s"}, start=False)
    without_server = f"postgresql://postgres@/postgres?host={daemon.home}"
    daemon.configure({"queue.database": without_server})
    found = daemon.command("start")
    daemon.configure({"queue.database": daemon.address})

    waits, refused = found.stderr.splitlines()
    assert found.returncode == 69
    assert waits.startswith("gigqd: the start waits for the database, for 1s at most: postgresql:")
    assert "the database could not be used within 1 s: postgresql:" in refused
    assert waits.endswith(remedy := "check that the server runs and can be reached")
    assert refused.endswith(remedy)


@pytest.mark.parametrize(
    ("tables", "message"),
    [
        ("CREATE TABLE gigq_schema (number INTEGER)", "has objects of another program"),
        ("CREATE TABLE jobs (number INTEGER)", "the table jobs is not one of a queue"),
        (
            "CREATE FUNCTION gigq_now() RETURNS INTEGER LANGUAGE sql AS 'SELECT 1'",
            "has objects of another program",
        ),
    ],
)
def test_a_check_and_a_start_refuse_the_objects_of_another_program(daemons, tables, message):
    daemon = daemons(start=False)
    with psycopg.connect(daemon.address, autocommit=True) as connection:
        connection.execute(tables)
    refused = [daemon.command("check", "--db"), daemon.command("start")]

    assert [one.returncode for one in refused] == [78, 78]
    assert all(message in one.stderr and "?schema=" in one.stderr for one in refused)


def test_a_worker_looks_again_soon_after_a_job(daemons):
    """In a tenth of a second there is one notification, so that the next job may have none."""
    daemon = daemons({"pools.default.size": 1})
    recorder = daemon.status()["slots"][0]["pid"]  # it looks for all workers, and wakes them

    assert any(_follows(daemon, recorder, f"{number}") for number in range(20))


def _follows(daemon: Daemon, recorder: int, name: str) -> bool:
    """Whether a job runs just after another one while the recorder is stopped."""
    go = daemon.home / name
    first = daemon.submit(jobs.wait_for_file, name, {"path": str(go)})
    daemon.wait_for_calls(name)
    os.kill(recorder, signal.SIGSTOP)
    try:
        go.touch()
        while daemon.queue.get_status(first)["status"] == "running":
            pass
        second = daemon.submit(jobs.ok, f"after {name}")
        with suppress(AssertionError):
            return bool(daemon.wait_for_job(second, within=1.0))
    finally:
        os.kill(recorder, signal.SIGCONT)
    return not daemon.wait_for_job(second)
