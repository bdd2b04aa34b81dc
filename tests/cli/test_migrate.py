"""`gigq migrate`: the tables of a queue, made by gigq, or by psql with its script."""

from __future__ import annotations

import json
import subprocess
from contextlib import closing
from typing import TYPE_CHECKING

import psycopg
import pytest
from support import postgres, stores
from support.free_port import free_port
from support.postgres_roles import role
from support.raw_sql import Program
from support.waiting import wait_until

from gigq.model.ids import new_id
from gigq.store import schema_versions
from gigq.store.dialect import POSTGRES

if TYPE_CHECKING:
    from pathlib import Path

    from support.shell import Shell

LATEST = schema_versions.latest(POSTGRES)
on_postgres = pytest.mark.only("postgres")
on_a_file = pytest.mark.only("sqlite")
OF_AN_APPLICATION = """
    CREATE TABLE jobs (id TEXT PRIMARY KEY, name TEXT NOT NULL, status TEXT NOT NULL,
        function_name TEXT NOT NULL, function_module TEXT NOT NULL, params TEXT,
        created_at TEXT NOT NULL, updated_at TEXT NOT NULL, tenant TEXT);
    INSERT INTO jobs VALUES ('old', 'an old job', 'pending', 'resize', 'shop', '{"file": "a"}',
        '2026-01-01T00:00:00+00:00', '2026-01-01T00:00:00+00:00', 'acme')
"""
CATALOG = """
    SELECT table_name, column_name, data_type, column_default, is_nullable
    FROM information_schema.columns WHERE table_schema = current_schema()
    UNION ALL SELECT tablename, indexname, replace(indexdef, current_schema(), ''), '', ''
    FROM pg_indexes WHERE schemaname = current_schema()
    UNION ALL SELECT event_object_table, trigger_name, action_statement, action_condition, ''
    FROM information_schema.triggers WHERE trigger_schema = current_schema()
    UNION ALL SELECT proname, prosrc, '', '', '' FROM pg_proc
    WHERE pronamespace = to_regnamespace(current_schema())
    ORDER BY 1, 2, 3
"""


def script_of(shell: Shell, *options: str, **environment: str) -> Path:
    path = shell.folder / "queue.sql"
    path.write_text(shell.out("migrate", "--sql", *options, **environment))
    return path


def psql(address: str, script: Path) -> subprocess.CompletedProcess[str]:
    command = postgres.psql_command(address, script)
    return subprocess.run(command, capture_output=True, text=True)


def catalog(address: str) -> list[tuple[object, ...]]:
    with psycopg.connect(address) as connection:
        return connection.execute(CATALOG).fetchall()


@on_postgres
@pytest.mark.parametrize("options", [(), ("--all",)])
def test_the_script_makes_the_tables_that_gigq_makes(shell, tmp_path, options):
    done = psql(shell.database, script_of(shell, *options))

    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert f"schema {LATEST} is current, and nothing was changed" in shell.out("migrate")
    assert shell.out("migrate", "--sql").endswith("There is nothing to run.\n")
    with stores.address_of("postgres", tmp_path) as other:
        assert shell.json("--db", other, "migrate")["schema"] == LATEST
        assert catalog(other) == catalog(shell.database)
    shell.submit()
    assert shell.out("worker", "--once") == "Processed one job.\n"


@on_postgres
@pytest.mark.parametrize("options", [(), ("--all",)])
def test_the_script_creates_the_schema_that_the_address_names(shell, options):
    schema = f"named_{new_id().replace('-', '')}"
    address = postgres.with_option(postgres.server(), f"schema={schema}")
    script = script_of(shell, *options, GIGQ_DB=address)
    try:
        assert psql(postgres.server(), script).returncode == 0
        assert shell.json("--db", address, "migrate")["before"] == LATEST
    finally:
        postgres.drop_schema(postgres.administrator(), schema)


@on_postgres
def test_printing_the_script_changes_nothing(shell):
    script_of(shell)

    assert catalog(shell.database) == []


@on_postgres
def test_the_whole_script_needs_no_connection(shell):
    away = f"postgresql://127.0.0.1:{free_port()}/x"

    assert "CREATE TABLE" in shell.out("migrate", "--sql", "--all", GIGQ_DB=away)
    assert shell.run("migrate", "--sql", GIGQ_DB=away).returncode == 69


@on_postgres
def test_a_script_that_is_run_again_changes_nothing(shell):
    script = script_of(shell)
    psql(shell.database, script)
    job_id = shell.submit()
    before = catalog(shell.database)

    again = psql(shell.database, script)

    assert again.returncode == 3
    assert (
        f"the queue has schema {LATEST}, and this script is for schema 0: print it" in again.stderr
    )
    assert catalog(shell.database) == before
    assert shell.json("status", job_id)["exists"]


@on_postgres
def test_a_script_that_fails_leaves_nothing(shell):
    script = script_of(shell)
    with closing(Program(shell.database)) as program:
        program.execute("CREATE FUNCTION gigq_now() RETURNS TEXT LANGUAGE sql AS 'SELECT NULL'")
    before = catalog(shell.database)

    assert psql(shell.database, script).returncode == 3
    assert catalog(shell.database) == before


@on_postgres
def test_the_script_waits_for_a_process_that_migrates(shell):
    script = script_of(shell)
    with closing(Program(shell.database)) as program, closing(Program(shell.database)) as other:
        program.execute("BEGIN")
        program.execute(
            "SELECT pg_advisory_xact_lock(hashtext('gigq schema of ' || current_schema()))"
        )
        (pid,) = program.execute("SELECT pg_backend_pid()").fetchone()
        waiting = "SELECT 1 FROM pg_stat_activity WHERE ? = ANY(pg_blocking_pids(pid))"
        with subprocess.Popen(postgres.psql_command(shell.database, script)) as running:
            try:
                wait_until(lambda: other.execute(waiting, (pid,)).fetchone() is not None, 30)
                assert catalog(shell.database) == []
            finally:
                program.execute("COMMIT")
    assert running.returncode == 0
    assert shell.json("stats")["total"] == 0


@on_postgres
@pytest.mark.parametrize("by_script", [True, False])
def test_the_tables_of_an_application_keep_their_rows_and_columns(shell, by_script):
    with psycopg.connect(shell.database) as connection:
        connection.execute(OF_AN_APPLICATION)
    looked = shell.run("list")
    if by_script:
        assert psql(shell.database, script_of(shell)).returncode == 0
    else:
        shell.out("migrate")

    assert (looked.returncode, looked.stdout) == (69, "")
    assert (
        f"has schema 0 and this gigq works with {LATEST}; run gigq migrate first" in looked.stderr
    )
    assert shell.out("worker", "--once") == "Processed one job.\n"
    with closing(Program(shell.database)) as program:
        assert program.execute("SELECT tenant, status FROM jobs").fetchall() == [
            ("acme", "completed")
        ]


@on_postgres
@pytest.mark.parametrize(
    "command", [("submit", "shop.greet", "--name", "a", "-p", "name=b"), ("worker", "--once"),
                ("migrate",)]
)  # fmt: skip
def test_a_role_that_may_not_create_tables_gets_the_way_out(shell, command):
    with role(shell.database) as address:
        refused = shell.run(*command, GIGQ_DB=address)
        script = script_of(shell, GIGQ_DB=address)

    assert refused.returncode == 77
    assert "the role may not create or change the tables of the queue" in refused.stderr
    assert "LINE 1" not in refused.stderr
    assert "gigq migrate --sql" in refused.stderr
    assert "submitter.sql or worker.sql for this role" in refused.stderr
    assert psql(shell.database, script).returncode == 0
    with role(shell.database, "ALL ON ALL TABLES IN SCHEMA {schema}") as address:
        shell.out(*command, GIGQ_DB=address)


@on_a_file
def test_a_file_is_created_and_brought_up_to_date_without_a_script(shell):
    first, second = shell.json("migrate"), shell.json("migrate")
    said = shell.out("migrate")
    refused = shell.run("migrate", "--sql")

    assert said == f"gigq.db: schema {first['schema']} is current, and nothing was changed.\n"
    assert first["before"] == 0
    assert second["before"] == second["schema"] == first["schema"]
    assert shell.json("stats")["total"] == 0
    assert (refused.returncode, refused.stdout) == (2, "")
    assert "a file does not need it" in refused.stderr


@on_a_file
def test_a_lost_file_is_not_begun_again(shell):
    shell.out("worker", "--once")
    (shell.folder / "gigq.db").unlink()

    refused = shell.run("migrate", "--json")

    assert json.loads(refused.stdout)["code"] == 69
    assert not (shell.folder / "gigq.db").exists()


@on_a_file
def test_the_whole_script_is_only_printed(shell):
    assert shell.run("migrate", "--all").stderr == "gigq: --all needs --sql\n"


@on_a_file
def test_no_script_is_printed_for_an_address_in_another_form(shell):
    refused = shell.run("migrate", "--sql", "--all", "--db", "host=db dbname=shop")

    assert (refused.returncode, refused.stdout) == (69, "")
    assert "write postgresql://USER@HOST/DATABASE" in refused.stderr
