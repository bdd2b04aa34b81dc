"""`gigq doctor` on a PostgreSQL server: what it finds there."""

from __future__ import annotations

import json
import subprocess
import sys
from contextlib import closing
from dataclasses import replace

import psycopg
import pytest
from support.doctor import examined, said_of
from support.postgres import as_role, fresh_database
from support.postgres_roles import role as role_of

from gigq import Job, JobQueue
from gigq.store import schema_versions
from gigq.store.dialect import POSTGRES
from gigq.store.doctor.server_checks import judge
from gigq.store.doctor.server_inspection import gather


def severities(shell, address):
    return {check: one["severity"] for check, one in examined(shell, address)[0].items()}


def test_a_healthy_queue_has_notes_only_beside_the_durability_of_the_server(shell, address):
    found, report = examined(shell, address)

    assert {one["severity"] for check, one in found.items() if check != "durability"} <= {
        "ok",
        "note",
    }
    assert found["jobs"]["found"].startswith("1 jobs, 1 due, 0 delayed")
    assert report["facts"]["version_number"] >= 150_000
    assert report["facts"]["counts"]["total"] == 1
    assert report["facts"]["schema"] == schema_versions.latest(POSTGRES)


def test_the_text_says_the_same_as_the_json(shell, address):
    lines = shell.run("doctor", "--db", address).stdout.splitlines()
    _, report = examined(shell, address)

    assert [line.split()[:2] for line in lines if not line.startswith(" ")] == [
        [one["severity"], one["check"]] for one in report["findings"]
    ]


def test_it_creates_nothing(shell, empty, admin):
    found, _ = examined(shell, empty)
    tables = admin.execute("SELECT tablename FROM pg_tables WHERE schemaname = current_schema()")

    assert found["database"]["severity"] == "problem"
    assert "there is no queue in schema" in found["database"]["found"]
    assert tables.fetchall() == []


def test_a_server_that_cannot_be_reached_is_named_without_the_password(shell, tmp_path):
    done = shell.run("doctor", "--db", f"postgresql://me:hidden@/jobs?host={tmp_path}")

    assert done.returncode == 69
    assert f"postgresql://me@/jobs?host={tmp_path}" in done.stderr
    assert "hidden" not in done.stderr


@pytest.mark.parametrize("option", ["--quick", "--integrity"])
def test_pages_are_not_checked(shell, address, option):
    done = shell.run("doctor", option, "--db", address)

    assert (done.returncode, done.stdout) == (2, "")
    assert "pg_amcheck" in done.stderr


def test_delayed_and_dependent_jobs_are_counted(shell, address):
    queue = JobQueue(address)
    parent = queue.submit(Job("parent", json.dumps, params={"obj": 1}, delay=60))
    queue.submit(Job("child", json.dumps, params={"obj": 1}, dependencies=[parent]))
    queue.close()
    found, _ = examined(shell, address)

    assert found["jobs"]["found"].startswith("3 jobs, 1 due, 1 delayed, 1 waiting for others")


@pytest.fixture
def alone():
    """The address of a queue with one job, in a database without sessions of other tests."""
    with fresh_database() as address:
        with JobQueue(address) as queue:
            queue.submit(Job("a job", json.dumps, params={"obj": 1}))
        yield address


def test_a_job_that_has_waited_long_is_a_warning(shell, alone):
    with psycopg.connect(alone) as connection:
        connection.execute("UPDATE jobs SET due_at = '2020-01-01T00:00:00.000000+00:00'")
    found, _ = examined(shell, alone)

    assert found["workers"]["found"] == "no process runs jobs"
    assert found["oldest"]["severity"] == "warning"
    assert "no process runs jobs" in found["oldest"]["remedy"]


@pytest.mark.parametrize("program", ["gigq daemon", "gigq worker"])
def test_a_session_of_a_process_elsewhere_is_named(shell, alone, program):
    job_id = shell.json("list", "--db", alone)["id"]
    with closing(psycopg.connect(alone, application_name=program)):
        found, _ = examined(shell, alone)
        said = shell.out("status", job_id, "--db", alone)

    listed = f"but the server lists 1 session of {program!r}, of another host, account or queue"
    assert listed in found["workers"]["found"]
    assert listed in said
    assert "lists no session of a daemon or worker" in shell.out("status", job_id, "--db", alone)


def test_a_session_of_a_program_that_only_submits_runs_no_jobs(shell, alone):
    with closing(psycopg.connect(alone, application_name="gigq")):
        found, _ = examined(shell, alone)

    assert found["workers"]["found"] == "no process runs jobs"


def test_a_running_job_without_a_process_is_lost(shell, address):
    code = (
        "import os, sys\nfrom gigq import Job, JobQueue, Worker\n"
        f"queue = JobQueue({address!r})\n"
        "queue.submit(Job('x', os._exit, params={'status': 3}, priority=1))\n"
        f"Worker({address!r}).process_one()"
    )
    done = subprocess.run([sys.executable, "-c", code], check=False, cwd=shell.folder)
    found, _ = examined(shell, address)

    assert done.returncode == 3
    assert found["lost"]["found"] == "1 running jobs have no process any more"
    assert found["lost"]["severity"] == "warning"


def test_a_schema_of_a_newer_gigq_is_a_problem(shell, address, admin):
    admin.execute("INSERT INTO gigq_schema VALUES (1000, '2026-01-01')")

    assert severities(shell, address)["schema"] == "problem"


def test_tables_of_an_application_are_brought_up_to_date_later(shell, empty, admin):
    admin.execute("CREATE TABLE jobs (id TEXT PRIMARY KEY, name TEXT, status TEXT)")
    found, _ = examined(shell, empty)

    assert found["schema"]["severity"] == "note"
    assert found["schema"]["found"].startswith("tables of an application")


def test_columns_that_do_not_sort_by_bytes_are_named(shell, address, admin):
    # This server may have no other locale; it is found by the name.
    admin.execute("CREATE COLLATION by_language (locale = 'C')")
    admin.execute("ALTER TABLE jobs ALTER COLUMN cause TYPE TEXT COLLATE by_language")
    found, _ = examined(shell, address)

    assert found["collation"]["severity"] == "warning"
    assert found["collation"]["found"].startswith("jobs.cause are not sorted by bytes")


def test_a_database_with_another_encoding_is_a_problem(address, admin):
    inspected = gather(address)
    latin = replace(inspected, server={**inspected.server, "encoding": "LATIN1"})
    (encoding,) = [one for one in judge(latin) if one.check == "encoding"]

    assert encoding.severity == "problem"
    assert admin.execute("SHOW server_encoding").fetchone() == (inspected.server["encoding"],)


def test_a_server_that_is_too_old_is_a_problem(address):
    inspected = gather(address)
    old = replace(inspected, server={**inspected.server, "version_number": 140_020})

    assert judge(old)[0].remedy == "gigq needs PostgreSQL 15 or newer; upgrade the server"


def test_commits_that_do_not_wait_for_the_disk_are_a_warning(shell, address, admin, role):
    admin.execute(f"ALTER ROLE {role} SET synchronous_commit = on")
    assert "synchronous_commit" not in said_of(shell, as_role(address, role), "durability")

    admin.execute(f"ALTER ROLE {role} SET synchronous_commit = off")
    assert "synchronous_commit is off" in said_of(shell, as_role(address, role), "durability")


def test_a_role_that_may_not_write_is_a_problem(shell, address, admin, role):
    admin.execute(f"ALTER ROLE {role} SET default_transaction_read_only = on")

    assert "takes no writes from this role" in said_of(shell, as_role(address, role), "server")


def test_the_difference_of_the_clocks_is_shown(address):
    inspected = gather(address)
    ahead = [one for one in judge(replace(inspected, clock_ahead=90.0)) if one.check == "clock"]

    assert abs(inspected.clock_ahead) < 60
    assert [one.severity for one in ahead] == ["note"]
    assert "1m30s ahead of this host's" in ahead[0].found


def test_a_role_that_may_not_read_the_catalog_gets_a_sentence(shell, alone):
    with role_of(alone) as of_role, psycopg.connect(alone, autocommit=True) as admin:
        admin.execute("REVOKE SELECT ON pg_database FROM PUBLIC")
        done = shell.run("doctor", "--db", of_role)

    assert done.returncode == 69
    assert "the role may not read pg_database" in done.stderr
