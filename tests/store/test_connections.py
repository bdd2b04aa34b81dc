from __future__ import annotations

import gc
import os
import sqlite3
import stat
import subprocess
import sys
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from support.ledger import job_row, ran, stored

from gigq.errors import StoreCorrupt, StoreError, StoreUnavailable, UnsupportedStore
from gigq.store import checkpoint, connect, filesystem, jobs, migrate
from gigq.store.database import Database
from gigq.store.dialect import dialect_of

if TYPE_CHECKING:
    from collections.abc import Callable


def setting(connection: sqlite3.Connection, name: str) -> Any:
    return connection.execute(f"PRAGMA {name}").fetchone()[0]


def in_child(action: Callable[[], bool]) -> bool:
    """What `action` says in a forked child."""
    child = os.fork()
    if child == 0:
        os._exit(0 if action() else 1)
    return os.waitpid(child, 0)[1] == 0


def in_thread(action: Callable[[], Any]) -> Any:
    """What `action` returns in a thread of its own."""
    result: list[Any] = []
    thread = threading.Thread(target=lambda: result.append(action()))
    thread.start()
    thread.join()
    return result[0]


def test_a_connection_is_set_up_for_a_queue(address: str) -> None:
    connection = connect.open_connection(address)

    assert setting(connection, "journal_mode") == "wal"
    assert setting(connection, "wal_autocheckpoint") == 0
    assert setting(connection, "synchronous") == 2
    assert setting(connection, "trusted_schema") == 0
    assert setting(connection, "busy_timeout") <= 50
    assert connection.isolation_level is None
    assert connection.execute("SELECT 1 AS one").fetchone()["one"] == 1


def test_the_files_of_a_new_database_are_private(db: Database, address: str) -> None:
    stored(db)
    names = [address, f"{address}-wal", f"{address}-shm"]

    assert [stat.S_IMODE(Path(name).stat().st_mode) for name in names] == [0o600] * 3


def test_the_mode_of_a_file_that_was_there_is_left_alone(address: str) -> None:
    Path(address).touch()
    Path(address).chmod(0o640)
    connect.open_connection(address)

    assert stat.S_IMODE(Path(address).stat().st_mode) == 0o640


def test_a_thread_gets_the_same_connection_each_time_and_another_thread_another(
    address: str,
) -> None:
    mine = connect.open_connection(address)

    assert connect.open_connection(address) is mine
    assert in_thread(lambda: connect.open_connection(address) is mine) is False


def test_the_names_of_one_file_share_a_connection(
    address: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)

    assert connect.open_connection("queue.db") is connect.open_connection(address)


def test_a_connection_ends_with_its_thread(address: str) -> None:
    connection = in_thread(lambda: connect.open_connection(address))

    assert connection.closed


def test_a_connection_that_its_user_closed_is_opened_again(db: Database, address: str) -> None:
    stored(db)
    first = connect.open_connection(address)
    first.close()

    assert jobs.counts(db) == {"pending": 1}
    assert connect.open_connection(address) is not first


def test_close_connections_closes_those_of_this_thread(address: str, tmp_path: Path) -> None:
    opened = [connect.open_connection(address), connect.open_connection(tmp_path / "other.db")]
    connect.close_connections()

    assert all(connection.closed for connection in opened)


def test_close_connection_closes_one(address: str, tmp_path: Path) -> None:
    one, other = connect.open_connection(address), connect.open_connection(tmp_path / "other.db")
    connect.close_connection(address)

    assert (one.closed, other.closed) == (True, False)


def test_a_file_that_was_replaced_is_opened_again(db: Database, address: str) -> None:
    stored(db)
    connect.open_connection(address)
    for name in (address, f"{address}-wal", f"{address}-shm"):
        Path(name).unlink()
    migrate.apply(db)

    assert jobs.counts(db) == {}


def test_a_forked_child_gets_a_connection_of_its_own(db: Database, address: str) -> None:
    stored(db)
    mine = connect.open_connection(address)

    def child_works() -> bool:
        other = connect.open_connection(address)
        stored(db)
        return other is not mine and jobs.counts(db) == {"pending": 2}

    assert in_child(child_works)
    assert jobs.counts(db) == {"pending": 2}
    assert connect.open_connection(address) is mine


def test_a_forked_child_closes_no_connection_that_it_inherited(db: Database, address: str) -> None:
    inherited = [connect.open_connection(address)]
    release, ready = threading.Event(), threading.Event()

    def other_thread() -> None:
        inherited.append(connect.open_connection(address))
        ready.set()
        release.wait(10)

    thread = threading.Thread(target=other_thread)
    thread.start()
    ready.wait(10)

    def child_leaves_them_open() -> bool:
        connect.open_connection(address)
        connect.close_connections()
        gc.collect()
        return not any(connection.closed for connection in inherited)

    try:
        assert in_child(child_leaves_them_open)
    finally:
        release.set()
        thread.join()


def test_a_fork_inside_a_transaction_does_not_end_it(db: Database, address: str) -> None:
    with db.transaction(durable=True) as session:
        session.run("insert_job", {**job_columns(), "now": session.now})

        assert in_child(lambda: jobs.counts(db) == {})
    assert jobs.counts(db) == {"pending": 1}


def job_columns() -> dict[str, Any]:
    from gigq.store.submission import DEFAULTS

    return {**DEFAULTS, **job_row()}


FORK_AND_EXIT = """
import os, sys
from gigq.store.connect import open_connection
connection = open_connection(sys.argv[1])
connection.execute("CREATE TABLE t (x)")
connection.execute("BEGIN IMMEDIATE")
connection.execute("INSERT INTO t VALUES (1)")
if os.fork() == 0:
    sys.exit()
assert os.wait()[1] == 0
connection.execute("COMMIT")
print(connection.execute("SELECT count(*) FROM t").fetchone()[0])
print(connection.execute("PRAGMA integrity_check").fetchone()[0])
"""


def test_a_child_that_exits_the_long_way_does_not_harm_its_parents_connection(
    address: str,
) -> None:
    said = subprocess.run(
        [sys.executable, "-c", FORK_AND_EXIT, address], capture_output=True, text=True
    )

    assert (said.stderr, said.stdout.split()) == ("", ["1", "ok"])


def test_commits_of_submitters_reach_the_disk_and_settles_do_not_wait_for_it(
    db: Database, address: str
) -> None:
    stored(db)
    connection = connect.open_connection(address)

    assert setting(connection, "synchronous") == 2

    ran(db)

    assert setting(connection, "synchronous") == 1

    stored(db)

    assert setting(connection, "synchronous") == 2


def test_an_old_sqlite_is_refused_with_both_versions() -> None:
    with pytest.raises(UnsupportedStore, match=r"SQLite 3\.34\.1 and gigq needs 3\.37\.0"):
        connect.refuse_old_sqlite((3, 34, 1))


def test_a_database_on_a_network_file_system_is_refused(
    address: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    mounts = "1 0 0:1 / / rw - nfs4 host:/ rw\n"
    monkeypatch.setattr(filesystem, "_own_mounts", lambda: mounts)

    with pytest.raises(UnsupportedStore, match="nfs4"):
        connect.open_connection(address)
    assert not Path(address).exists()


def test_a_folder_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(StoreUnavailable, match=r"nowhere/q\.db cannot be created.*check that"):
        connect.open_connection(tmp_path / "nowhere" / "q.db")


def test_a_folder_in_the_place_of_the_file_is_unavailable(tmp_path: Path) -> None:
    with pytest.raises(StoreUnavailable):
        connect.open_connection(tmp_path)


def test_a_file_that_is_no_database_is_reported_and_left_as_it_is(address: str) -> None:
    Path(address).write_bytes(b"not a database, " * 1000)

    with pytest.raises(StoreCorrupt, match="not a database"):
        connect.open_connection(address)
    assert Path(address).read_bytes() == b"not a database, " * 1000


def test_a_database_without_tables_is_a_store_error(address: str) -> None:
    with pytest.raises(StoreError, match=r"queue\.db: no such table"):
        jobs.counts(Database(lambda: connect.open_connection(address)))


def test_a_connection_of_the_users_own_works_as_well(address: str) -> None:
    own = sqlite3.connect(address)
    own.row_factory = lambda cursor, row: {"shape": "of its own"}
    db = Database(lambda: own)
    migrate.apply(db)
    job_id = stored(db)

    assert ran(db).job_id == job_id
    assert jobs.counts(db) == {"completed": 1}
    own.close()


def test_a_driver_that_is_not_known_is_refused() -> None:
    foreign = type("Connection", (), {"__module__": "psycopg2.extensions"})

    with pytest.raises(UnsupportedStore, match="psycopg2"):
        dialect_of(foreign())


def test_a_long_log_is_written_back_and_emptied(db: Database, address: str) -> None:
    stored(db, params="x" * 200_000)
    connection = connect.open_connection(address)

    assert checkpoint.wal_size(address) > 200_000
    assert checkpoint.shorten(connection)
    assert checkpoint.wal_size(address) == 0
    assert setting(connection, "busy_timeout") <= 50


def test_nobody_shortens_the_log_while_another_does(db: Database, address: str) -> None:
    stored(db)
    with checkpoint._elected(address) as elected:
        assert elected
        assert not checkpoint.shorten(connect.open_connection(address))
    assert checkpoint.wal_size(address) > 0


def test_a_reader_in_the_way_of_a_checkpoint_is_not_an_error(db: Database, address: str) -> None:
    reader = sqlite3.connect(address, isolation_level=None)
    reader.execute("BEGIN")
    reader.execute("SELECT count(*) FROM jobs").fetchone()
    stored(db)

    assert not checkpoint.shorten(connect.open_connection(address))
    reader.close()
    assert checkpoint.shorten(connect.open_connection(address))


def test_the_log_stays_bounded_without_a_daemon(
    db: Database, address: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(checkpoint, "TOO_LONG", 500_000)
    sizes = []
    for _ in range(300):
        stored(db, params="x" * 8000)
        sizes.append(checkpoint.wal_size(address))

    assert max(sizes) < 128 * 60_000
    assert min(sizes[100:]) < 100_000
