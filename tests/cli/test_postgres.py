"""The commands on a PostgreSQL database, where they differ from those on a file."""

from __future__ import annotations

import json
from contextlib import closing

import psycopg
import pytest
from support.free_port import free_port
from support.postgres_roles import role
from support.raw_sql import Program

pytestmark = pytest.mark.only("postgres")

LOOKS = [("list",), ("stats",), ("status", "missing"), ("logs", "missing")]
CHANGES = [("cancel", "missing"), ("requeue", "missing"), ("clear",), ("prune", "--keep", "1")]


def tables(shell) -> list[str]:
    with closing(Program(shell.database)) as program:
        found = program.execute(
            "SELECT tablename FROM pg_tables WHERE schemaname = current_schema()"
        )
        return [name for (name,) in found]


@pytest.mark.parametrize("command", [*LOOKS, *CHANGES])
def test_a_database_without_a_queue_gets_none(shell, command):
    done = shell.run(*command)

    assert (done.returncode, done.stdout) == (69, "")
    assert "has no queue in it; submit a job first, create one with gigq migrate" in done.stderr
    assert tables(shell) == []


@pytest.mark.parametrize(
    "command", [("submit", "shop.resize", "-p", "file=a"), ("worker", "--once")]
)
def test_the_tables_of_another_program_get_none_beside_them_unless_asked(shell, command):
    with closing(Program(shell.database)) as program:
        program.execute("CREATE TABLE customers (name TEXT)")

    refused = shell.run(*command, *(("--name", "a") if command[0] == "submit" else ()))

    assert refused.returncode == 69
    assert "tables of another program (customers)" in refused.stderr
    assert tables(shell) == ["customers"]
    assert shell.out("worker", "--once", "--init").startswith("No jobs")


def test_a_role_that_may_only_read_sees_the_queue_and_changes_nothing(shell):
    job_id = shell.submit()
    shell.out("worker", "--once")
    waits = shell.submit()
    with role(shell.database, "SELECT ON ALL TABLES IN SCHEMA {schema}") as address:
        assert job_id in shell.out("list", GIGQ_DB=address)
        assert "completed | 1" in shell.out("stats", GIGQ_DB=address)
        assert "pixels wide" in shell.out("status", job_id, "--show-result", GIGQ_DB=address)
        assert "Waiting: due; this account sees no" in shell.out("status", waits, GIGQ_DB=address)
        assert "ran in a plain worker" in shell.run("logs", job_id, GIGQ_DB=address).stderr
        refused = shell.run("cancel", waits, GIGQ_DB=address)

    assert refused.returncode == 77
    assert "permission denied for table jobs" in refused.stderr
    assert shell.json("status", waits)["status"] == "pending"


def test_looking_runs_in_transactions_that_are_read_only(shell):
    job_id = shell.submit()
    # A server that is a standby, or is made read-only, refuses every other transaction.
    address = f"{shell.database}%20-cdefault_transaction_read_only%3Don"
    for words in (("list",), ("stats",), ("status", job_id)):
        assert shell.out(*words, GIGQ_DB=address)

    refused = shell.run("cancel", job_id, GIGQ_DB=address)

    assert refused.returncode == 69
    assert "connect to the primary" in refused.stderr


@pytest.mark.parametrize("words", [("list",), ("status", "x"), ("worker", "--once")])
@pytest.mark.parametrize("options", [(), ("--debug",)])
def test_a_server_that_does_not_answer_is_named_without_the_password(shell, words, options):
    address = f"postgresql://amy:hunter2@127.0.0.1:{free_port()}/shop"

    done = shell.run("--db", address, *options, *words)

    assert done.returncode == 69
    assert f"gigq: {address.replace(':hunter2', '')}: " in done.stderr
    assert "check that the server runs and can be reached" in done.stderr
    assert "hunter2" not in done.stderr


def test_an_unknown_database_is_an_error_of_the_address(shell):
    done = shell.run("list", "--json", GIGQ_DB=shell.database.replace("/postgres?", "/missing?"))

    answer = json.loads(done.stdout)
    assert (done.returncode, answer["code"]) == (69, 69)
    assert "the server runs and refuses the connection; correct the address" in answer["error"]


@pytest.mark.parametrize(
    ("address", "message"),
    [
        ("postgresql://amy:hun/ter2@127.0.0.1/x", "has characters that must be escaped"),
        ("postgresql://amy:hunter2@127.0.0.1/x?sslmodus=1", "do you mean 'sslmode'?"),
        ("postgresql://amy:hunter2@127.0.0.1/x\x7f", "has characters that must be escaped"),
        ("postgresql://amy:hunter2@127.0.0.1/x\udce9", "has characters that must be escaped"),
        ("postgresql://amy:hunter2@[::1/x", "is no valid address"),
        (f"postgresql://amy:hunter2@{'x' * 300}/x", "is no valid address"),
    ],
)
def test_an_address_with_a_mistake_is_refused_without_its_password(shell, address, message):
    done = shell.run("list", "--db", address)

    assert done.returncode == 69
    assert message in done.stderr
    assert "hun" not in done.stderr


@pytest.mark.parametrize("as_json", [(), ("--json",)])
@pytest.mark.parametrize(
    "words", [("list", "ADDRESS"), ("backup", "ADDRESS/", "--db", "shop.db"), ("stats", "ADDRESS")]
)
def test_an_address_in_a_wrong_place_is_shown_without_its_password(shell, words, as_json):
    shell.out("submit", "os:getpid", "--name", "a", "--db", "shop.db")
    address = "postgresql://amy:hunter2@db.example/shop"
    done = shell.run(*[word.replace("ADDRESS", address) for word in words], *as_json)

    assert done.returncode in (1, 2)
    assert "hunter2" not in done.stdout + done.stderr


def test_a_backup_is_made_with_the_programs_of_the_server(shell):
    shell.submit()
    done = shell.run("backup", "copy.db")

    assert (done.returncode, done.stdout) == (2, "")
    assert "for PostgreSQL use pg_dump" in done.stderr


def test_the_address_in_a_configuration_is_used(shell):
    (shell.folder / "gigq.toml").write_text(
        f"[queue]\ndatabase = {json.dumps(shell.database)}\n"
        "[code.environment]\nSIGN = 'of the file'\n"
    )
    (shell.folder / "signs.py").write_text(
        "import os\n\n\ndef read():\n    return os.environ['SIGN']\n"
    )
    job_id = shell.json("submit", "signs.read", "--name", "a", "--config", "gigq.toml")["id"]

    assert shell.out("worker", "--once") == "Processed one job.\n"
    assert "of the file" in shell.out("status", job_id, "--show-result")
    assert not (shell.folder / "gigq.db").exists()


def test_a_running_job_of_another_host_is_not_called_abandoned(shell):
    job_id = shell.submit()
    shell.out("worker", "--once")
    with closing(psycopg.connect(shell.database, autocommit=True)) as other:
        other.execute("UPDATE jobs SET status = 'running'")
        other.execute(
            "UPDATE job_executions SET status = 'running', completed_at = NULL, "
            "run = 'gigqd:77:0011223344556677:99999999:4026531836:41:1234'"
        )

    assert "Status: running\n" in shell.out("status", job_id)
    logs = shell.run("logs", job_id)
    assert logs.returncode == 0
    assert "attempt 1 runs on another host, and nothing is stored yet" in logs.stderr
