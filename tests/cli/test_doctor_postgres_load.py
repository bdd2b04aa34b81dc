"""`gigq doctor` on a PostgreSQL server: rights, connections, dead rows and what keeps them."""

from __future__ import annotations

import struct
from contextlib import closing, contextmanager
from dataclasses import replace
from pathlib import Path
from urllib.parse import quote

import psycopg
import pytest
from support import postgres
from support.doctor import changed, examined, other_session, said_of
from support.pgbouncer import pooled
from support.postgres import as_role, with_option
from support.waiting import wait_until

from gigq import JobQueue
from gigq.model.ids import new_id
from gigq.store.doctor.server_checks import judge
from gigq.store.doctor.server_inspection import gather
from gigq.store.statements import SQL

MANY = 12_000


def more_jobs(connection, count, error=""):
    """Store jobs of another program, and give the statistics of that to the server."""
    connection.execute(
        "INSERT INTO jobs (id, name, status, created_at, updated_at, function_module, "
        "function_name, error) SELECT 'job' || n, 'x', 'completed', '', '', 'json', 'dumps', %s "
        "|| n FROM generate_series(1, %s) AS n",
        (error, count),
    )
    connection.execute("SELECT pg_stat_force_next_flush()")


@pytest.mark.parametrize(
    ("mode", "severity", "said"),
    [
        ("transaction", "note", "LISTEN does not work"),
        ("session", "ok", "a pooler in session mode"),
    ],
)
def test_a_pooler_is_named_with_its_mode(shell, address, admin, mode, severity, said):
    with pooled(mode, schema=schema(admin)) as through:
        found, _ = examined(shell, through)

    assert found["connection"]["severity"] == severity
    assert said in found["connection"]["found"]
    assert found["jobs"]["found"].startswith("1 jobs")


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ("pooler=true", "no pooler is on the way: idle workers look for jobs once a second"),
        ("pooler=true&direct=db.example:5432", "no pooler is on the way"),
    ],
)
def test_a_pooler_that_the_address_names_and_is_not_there_is_noted(shell, address, options, said):
    one = examined(shell, with_option(address, options))[0]["connection"]

    assert one["severity"] == "note"
    assert one["found"].endswith(said)
    assert "leave out pooler and direct" in one["remedy"]


def test_workers_listen_beside_a_pooler_with_a_direct_address(shell, address, admin):
    direct = quote(address, safe="")
    with pooled("transaction", schema=schema(admin)) as through:
        options = f"pooler=true&direct={direct}"
        one = examined(shell, with_option(through, options))[0]["connection"]

    assert (one["severity"], "workers listen at the direct address" in one["found"]) == ("ok", True)


def of_check(inspected, check):
    return [one for one in judge(inspected) if one.check == check]


@pytest.mark.parametrize(
    ("given", "severity", "said"),
    [
        ("", "problem", "may neither submit nor run jobs: it lacks SELECT and UPDATE on jobs"),
        ("SELECT", "warning", "may neither submit nor run jobs: it lacks UPDATE on jobs"),
        ("SELECT, INSERT", "note", "may submit jobs, but not run them: it lacks UPDATE on jobs"),
    ],
)
def test_rights_that_a_role_lacks_are_named(shell, address, admin, role, given, severity, said):
    if given:
        admin.execute(f"GRANT {given} ON ALL TABLES IN SCHEMA {schema(admin)} TO {role}")
    found, _ = examined(shell, as_role(address, role))

    assert found["permissions"]["severity"] == severity
    assert said in found["permissions"]["found"]
    assert f"{SQL}/grants/worker.sql" in found["permissions"]["remedy"]


def schema(connection):
    return connection.execute("SELECT current_schema()").fetchone()[0]


def run_remedy(remedy):
    """Run the command of a remedy as the superuser of the tests' server."""
    command = remedy.partition(": ")[2].partition(" (")[0]
    options, _, script = command.rpartition(" ")[0].partition(" -f ")
    variables = dict(word.split("=") for word in options.split()[2::2])
    postgres.psql(postgres.server(), Path(script), **variables)


def test_with_the_rights_of_the_remedy_a_role_may_submit_and_run_jobs(shell, address, admin, role):
    found, _ = examined(shell, as_role(address, role))
    run_remedy(found["permissions"]["remedy"])
    found, _ = examined(shell, as_role(address, role))

    assert found["permissions"]["found"].startswith(f"role {role} may submit and run jobs")
    with closing(JobQueue(as_role(address, role))) as queue:
        assert queue.stats()["pending"] == 1


def test_a_role_that_may_not_use_the_schema_is_a_problem(shell, address, admin, role):
    admin.execute(f"REVOKE USAGE ON SCHEMA {schema(admin)} FROM {role}")
    found, _ = examined(shell, as_role(address, role))

    assert found["database"]["severity"] == "problem"
    assert f"role {role} may use no schema" in found["database"]["found"]
    assert f"-v role={role} -v schema=SCHEMA -f {SQL}/grants/" in found["database"]["remedy"]


def test_the_connections_of_gigq_are_counted(shell, address):
    name = f"gigq {new_id()[-12:]}"  # other tests have connections to the same server
    with closing(JobQueue(f"{address}&application_name={quote(name)}")) as queue:
        queue.stats()
        found, _ = examined(shell, address)

    assert found["connections"]["severity"] == "ok"
    assert f"{name} 1" in found["connections"]["found"]


def test_few_connections_left_are_a_warning(shell, address, admin, role):
    admin.execute(f"ALTER ROLE {role} CONNECTION LIMIT 2")
    with other_session(as_role(address, role)):
        found, _ = examined(shell, as_role(address, role))

    assert found["connections"]["severity"] == "warning"
    assert found["connections"]["found"].startswith("2 of 2 connections are used")
    assert f"the limit of role {role}" in found["connections"]["remedy"]


def test_without_a_connection_left_the_reason_is_given(shell, address, admin, role):
    admin.execute(f"ALTER ROLE {role} CONNECTION LIMIT 1")
    with other_session(as_role(address, role)):
        done = shell.run("doctor", "--db", as_role(address, role))

    assert done.returncode == 69
    assert "too many connections for role" in done.stderr


def only(inspected, pid):
    """The inspection without the transactions of other tests."""
    rows = [row for row in inspected.rows("transactions") if row["pid"] == pid]
    return replace(inspected, lists={**inspected.lists, "transactions": rows})


def test_an_open_transaction_is_named_with_its_state(address):
    with other_session(address, "UPDATE jobs SET name = 'y'") as pid:
        (found,) = of_check(only(gather(address), pid), "transaction")

    assert found.severity == "ok"
    assert f"process {pid} of role postgres, idle in transaction" in found.found


@pytest.mark.parametrize(
    ("statement", "severity"),
    [("UPDATE jobs SET name = 'y'", "warning"), ("SELECT 1", "note")],
)
def test_a_long_transaction_is_a_warning_when_it_keeps_dead_rows(address, statement, severity):
    with other_session(address, statement) as pid:
        long = changed(only(gather(address), pid), "transactions", seconds=300.0)
    (found,) = of_check(long, "transaction")

    assert found.severity == severity
    assert f"pg_terminate_backend({pid})" in found.remedy


def test_a_role_that_does_not_see_other_sessions_is_told_so(shell, address, admin, role):
    with other_session(address, "UPDATE jobs SET name = 'y'"):
        said = said_of(shell, as_role(address, role), "transaction")

    assert f"role {role} sees its own transactions only" in said


def test_a_prepared_transaction_is_named(shell, address, admin):
    name = f"prepared in {schema(admin)}"
    with closing(psycopg.connect(address)) as connection:
        connection.execute("UPDATE jobs SET name = 'y'")
        connection.execute(f"PREPARE TRANSACTION '{name}'")
    try:
        found = said_of(shell, address, "transaction")
    finally:
        admin.execute(f"ROLLBACK PREPARED '{name}'")

    assert f"prepared transaction {name}" in found


@contextmanager
def standby_with_feedback(admin, address, slot):
    """A replication slot that keeps dead rows, as a standby with a long query has it."""
    admin.execute("SELECT pg_create_physical_replication_slot(%s, true)", (slot,))
    (xmin,) = admin.execute("SELECT txid_current()").fetchone()
    (place,) = admin.execute(
        "SELECT restart_lsn::text FROM pg_replication_slots WHERE slot_name = %s", (slot,)
    ).fetchone()
    base = address.partition("&options=")[0]
    try:
        with closing(psycopg.connect(f"{base}&replication=true", autocommit=True)) as standby:
            standby.pgconn.send_query(f"START_REPLICATION SLOT {slot} PHYSICAL {place}".encode())
            standby.pgconn.get_result()
            epoch, low = divmod(xmin, 2**32)
            standby.pgconn.put_copy_data(struct.pack("!cqIIII", b"h", 0, low, epoch, 0, 0))
            standby.pgconn.flush()
            wait_until(lambda: kept_by(admin, slot))
            yield
    finally:
        wait_until(lambda: is_dropped(admin, slot))


def kept_by(admin, slot):
    return admin.execute(
        "SELECT 1 FROM pg_replication_slots WHERE slot_name = %s AND xmin IS NOT NULL", (slot,)
    ).fetchone()


def is_dropped(admin, slot):
    """Drop the slot, if its standby has left; True when it is gone."""
    admin.execute(
        "SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots "
        "WHERE slot_name = %s AND NOT active",
        (slot,),
    )
    return not admin.execute(
        "SELECT 1 FROM pg_replication_slots WHERE slot_name = %s", (slot,)
    ).fetchone()


def test_a_replication_slot_that_keeps_dead_rows_is_named(address, admin):
    slot = f"slot_of_{schema(admin)}"[:60]
    with standby_with_feedback(admin, address, slot):
        inspected = gather(address)
    far_behind = changed(inspected, "slots", transactions=1_000_000, is_active=False)

    assert slot in " ".join(one.found for one in of_check(inspected, "transaction"))
    assert "warning" in [one.severity for one in of_check(far_behind, "transaction")]


def test_dead_rows_that_a_transaction_keeps_are_a_warning(shell, address, admin):
    more_jobs(admin, MANY)
    with other_session(
        address, "UPDATE job_executions SET note = ''", "SELECT txid_current()"
    ) as pid:
        admin.execute("UPDATE jobs SET name = 'y'")
        admin.execute("SELECT pg_stat_force_next_flush()")
        found, report = examined(shell, address)

    jobs = next(one for one in report["facts"]["tables"] if one["name"] == "jobs")
    assert jobs["dead"] >= MANY
    assert found["vacuum"]["severity"] == "warning"
    assert f"process {pid}" in found["vacuum"]["remedy"]
    assert "VACUUM jobs" in found["vacuum"]["remedy"]


def test_a_table_without_autovacuum_is_a_warning(shell, address, admin):
    admin.execute("ALTER TABLE job_executions SET (autovacuum_enabled = false)")
    found, _ = examined(shell, address)

    assert found["vacuum"]["severity"] == "warning"
    assert found["vacuum"]["remedy"] == "ALTER TABLE job_executions RESET (autovacuum_enabled)"
    admin.execute(found["vacuum"]["remedy"])
    assert examined(shell, address)[0]["vacuum"]["severity"] == "ok"


def test_much_free_space_is_noted_with_the_way_to_return_it(shell, address, admin):
    more_jobs(admin, 40_000, "0123456789abcdef" * 64)
    assert "free" not in examined(shell, address)[0]["size"]["found"]

    admin.execute("DELETE FROM jobs WHERE id <> 'job40000'")
    admin.execute("VACUUM ANALYZE jobs")
    found, _ = examined(shell, address)

    assert found["size"]["severity"] == "note"
    assert "VACUUM FULL jobs" in found["size"]["remedy"]
