"""The PostgreSQL server of a run of the tests."""

import os
import subprocess
import sys
import threading
from contextlib import suppress
from pathlib import Path

import psycopg
import pytest
from support import postgres
from support.waiting import wait_until

from gigq.model.ids import new_id

TESTS = Path(__file__).resolve().parents[1]
USES_THE_SERVER = """
import sys
from support import postgres
with postgres.fresh_schema(sys.argv[1]):
    pass
postgres.stop()
"""


def test_at_the_end_of_a_run_no_connection_is_open():
    name = f"test_{new_id().replace('-', '')}"
    done = subprocess.run(
        [sys.executable, "-W", "always::ResourceWarning", "-c", USES_THE_SERVER, name],
        cwd=TESTS,
        env={**os.environ, postgres.SERVER: postgres.server()},
        capture_output=True,
        text=True,
    )

    assert (done.returncode, done.stderr) == (0, "")


def test_a_schema_is_dropped_beside_a_thread_that_comes_back(monkeypatch: pytest.MonkeyPatch):
    """The thread of a lease looked at two tables while they were dropped: a deadlock."""
    name, thread, end = f"test_{new_id().replace('-', '')}", None, postgres.end_other_sessions

    def lock(held: threading.Event) -> None:
        with (
            suppress(psycopg.OperationalError),
            psycopg.connect(postgres.server(), options="-c deadlock_timeout=2s") as session,
        ):
            session.execute(f"LOCK TABLE {name}.second")
            held.set()
            wait_until(is_dropping)
            session.execute(f"LOCK TABLE {name}.first")

    def is_dropping() -> bool:
        waiting = "SELECT 1 FROM pg_locks WHERE NOT granted AND relation = %s::regclass"
        return bool(postgres.administrator().execute(waiting, [f"{name}.second"]).fetchall())

    def end_and_come_back(connection: object, schema: str) -> None:
        nonlocal thread
        end(connection, schema)
        if thread is None:
            held = threading.Event()
            thread = threading.Thread(target=lock, args=[held])
            thread.start()
            held.wait()

    monkeypatch.setattr(postgres, "end_other_sessions", end_and_come_back)
    with psycopg.connect(postgres.server(), autocommit=True) as connection:
        connection.execute(f"CREATE SCHEMA {name}")
        for table in ("first", "second"):
            connection.execute(f"CREATE TABLE {name}.{table} ()")
        postgres.drop_schema(connection, name)
        found = connection.execute("SELECT to_regnamespace(%s)", (name,)).fetchone()

    assert thread is not None
    thread.join()
    assert found == (None,)
