from __future__ import annotations

import gc
import os
import re
import sqlite3
import stat
import subprocess
import sys
import threading
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psycopg
import pytest
from support.ledger import ran, stored

from gigq import JobQueue
from gigq.errors import (
    StoreCorrupt,
    StoreError,
    StoreGone,
    StoreUnavailable,
    UnsupportedStore,
)
from gigq.store import migrate
from gigq.store.database import Database
from gigq.store.dialect import dialect_of, refuse_old_sqlite
from gigq.store.sqlite import checkpoint, connections
from gigq.store.sqlite.file import filesystem
from gigq.store.verbs import jobs, listing

if TYPE_CHECKING:
    from collections.abc import Callable

pytestmark = pytest.mark.only("sqlite")


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
    connection = connections.open_connection(address)

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
    connections.open_connection(address)

    assert stat.S_IMODE(Path(address).stat().st_mode) == 0o640


def test_a_thread_gets_the_same_connection_each_time_and_another_thread_another(
    address: str,
) -> None:
    mine = connections.open_connection(address)

    assert connections.open_connection(address) is mine
    assert in_thread(lambda: connections.open_connection(address) is mine) is False


def test_the_names_of_one_file_share_a_connection(
    address: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)

    assert connections.open_connection("queue.db") is connections.open_connection(address)


def test_a_connection_ends_with_its_thread(address: str) -> None:
    connection = in_thread(lambda: connections.open_connection(address))

    assert connection.closed


def test_a_connection_that_its_user_closed_is_opened_again(db: Database, address: str) -> None:
    stored(db)
    first = connections.open_connection(address)
    first.close()

    assert jobs.counts(db) == {"pending": 1}
    assert connections.open_connection(address) is not first


def test_close_connections_closes_those_of_this_thread(address: str, tmp_path: Path) -> None:
    opened = [
        connections.open_connection(address),
        connections.open_connection(tmp_path / "other.db"),
    ]
    connections.close_connections()

    assert all(connection.closed for connection in opened)


def test_close_connection_closes_one(address: str, tmp_path: Path) -> None:
    one, other = (
        connections.open_connection(address),
        connections.open_connection(tmp_path / "other.db"),
    )
    connections.close_connection(address)

    assert (one.closed, other.closed) == (True, False)


def companions(address: str) -> list[Path]:
    return [Path(f"{address}-wal"), Path(f"{address}-shm")]


def another_file(address: str, pending: int) -> Path:
    """A whole database elsewhere, with so many jobs."""
    path = Path(f"{address}.other")
    other = Database(lambda: connections.open_connection(path))
    migrate.apply(other)
    for _ in range(pending):
        stored(other)
    checkpoint.shorten(connections.open_connection(path))
    connections.close_connection(path)
    return path


def test_a_file_that_was_replaced_is_opened_again(db: Database, address: str) -> None:
    stored(db)
    other = another_file(address, pending=3)
    for name in companions(address):
        name.unlink()
    other.replace(address)

    assert jobs.counts(db) == {"pending": 3}
    assert stored(db)
    assert jobs.counts(db) == {"pending": 4}


def test_a_new_file_beside_the_log_of_the_old_one_is_refused_and_left_alone(
    db: Database, address: str
) -> None:
    stored(db)
    other = another_file(address, pending=3)
    whole = other.read_bytes()
    other.replace(address)

    with pytest.raises(StoreGone, match="still the log of the old file; move"):
        jobs.counts(db)
    assert Path(address).read_bytes() == whole
    for name in companions(address):
        name.unlink()
    assert jobs.counts(db) == {"pending": 3}


def test_nothing_is_submitted_into_a_file_that_was_deleted(db: Database, address: str) -> None:
    stored(db)
    Path(address).unlink()

    with pytest.raises(StoreGone, match=r"queue\.db is gone: it was deleted or moved away"):
        stored(db)
    with pytest.raises(StoreGone):
        jobs.counts(db)
    assert not Path(address).exists()


def test_a_commit_that_the_deletion_of_the_file_overtook_is_no_success(
    db: Database, address: str
) -> None:
    def overtaken() -> None:
        with db.transaction(durable=True):
            stored(db)
            Path(address).unlink()

    with pytest.raises(StoreGone):
        overtaken()


def test_a_file_that_comes_back_is_used_again(db: Database, address: str) -> None:
    stored(db)
    files = [Path(address), *companions(address)]
    away = [file.rename(file.with_name(f"{file.name}.away")) for file in files]
    with pytest.raises(StoreGone):
        stored(db)
    for file, moved in zip(files, away, strict=True):
        moved.rename(file)

    stored(db)
    assert jobs.counts(db) == {"pending": 2}


def test_another_thread_does_not_begin_a_new_file_either(db: Database, address: str) -> None:
    stored(db)
    Path(address).unlink()

    def begins() -> bool:
        try:
            connections.open_connection(address)
        except StoreGone:
            return False
        return True

    assert not in_thread(begins)
    assert not Path(address).exists()


def test_whoever_closes_the_connections_may_begin_a_new_file(db: Database, address: str) -> None:
    stored(db)
    connections.close_connections()
    Path(address).unlink()
    migrate.apply(db)

    assert jobs.counts(db) == {}


def test_a_required_file_is_never_created(address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connections, "_required", set())
    connections.require(address)

    with pytest.raises(StoreGone):
        connections.open_connection(address)
    assert not Path(address).exists()


def test_nothing_is_written_into_a_file_that_was_emptied(db: Database, address: str) -> None:
    stored(db)
    os.truncate(address, 0)

    with pytest.raises(StoreCorrupt, match="was emptied while it was in use"):
        stored(db)
    assert Path(address).stat().st_size == 0


def test_an_empty_file_with_a_log_is_refused_and_the_log_is_kept(
    db: Database, address: str, tmp_path: Path
) -> None:
    stored(db)
    emptied = tmp_path / "emptied.db"
    emptied.touch()
    log = companions(address)[0].read_bytes()
    Path(f"{emptied}-wal").write_bytes(log)

    with pytest.raises(StoreCorrupt, match=r"is empty although its log has \d+ bytes"):
        connections.open_connection(emptied)
    assert Path(f"{emptied}-wal").read_bytes() == log


def test_no_new_file_is_begun_beside_the_log_of_a_lost_one(address: str) -> None:
    log = companions(address)[0]
    log.write_bytes(b"frames")

    with pytest.raises(StoreGone, match="is not there, but its log"):
        connections.open_connection(address)
    assert log.read_bytes() == b"frames"
    assert not Path(address).exists()


def test_a_path_may_have_every_character(tmp_path: Path) -> None:
    path = tmp_path / "a ?mode=memory#50%25 ü.db"
    db = Database(lambda: connections.open_connection(path))
    migrate.apply(db)
    stored(db)

    assert path.stat().st_size > 0
    assert jobs.counts(db) == {"pending": 1}


def test_a_forked_child_gets_a_connection_of_its_own(db: Database, address: str) -> None:
    stored(db)
    mine = connections.open_connection(address)

    def child_works() -> bool:
        other = connections.open_connection(address)
        stored(db)
        return other is not mine and jobs.counts(db) == {"pending": 2}

    assert in_child(child_works)
    assert jobs.counts(db) == {"pending": 2}
    assert connections.open_connection(address) is mine


def test_a_forked_child_closes_no_connection_that_it_inherited(db: Database, address: str) -> None:
    inherited = [connections.open_connection(address)]
    release, ready = threading.Event(), threading.Event()

    def other_thread() -> None:
        inherited.append(connections.open_connection(address))
        ready.set()
        release.wait(10)

    thread = threading.Thread(target=other_thread)
    thread.start()
    ready.wait(10)

    def child_leaves_them_open() -> bool:
        connections.open_connection(address)
        connections.close_connections()
        gc.collect()
        return not any(connection.closed for connection in inherited)

    try:
        assert in_child(child_leaves_them_open)
    finally:
        release.set()
        thread.join()


def test_a_fork_inside_a_transaction_does_not_end_it(db: Database, address: str) -> None:
    with db.transaction(durable=True):
        stored(db)

        assert in_child(lambda: jobs.counts(db) == {})
    assert jobs.counts(db) == {"pending": 1}


FORK_AND_EXIT = """
import os, sys
from gigq.store.sqlite.connections import open_connection
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
    connection = connections.open_connection(address)

    assert setting(connection, "synchronous") == 2

    ran(db)

    assert setting(connection, "synchronous") == 1

    stored(db)

    assert setting(connection, "synchronous") == 2


def test_every_commit_of_a_durable_database_reaches_the_disk(address: str) -> None:
    db = Database(lambda: connections.open_connection(address), durable=True)
    migrate.apply(db)
    connection = connections.open_connection(address)
    stored(db)
    ran(db)

    assert setting(connection, "synchronous") == 2


def test_an_old_sqlite_is_refused_with_both_versions() -> None:
    with pytest.raises(UnsupportedStore, match=r"SQLite 3\.34\.1 and gigq needs 3\.37\.0"):
        refuse_old_sqlite((3, 34, 1))


@pytest.mark.fault("G13")
def test_a_database_on_a_network_file_system_is_refused(
    address: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    mounts = "1 0 0:1 / / rw - nfs4 host:/ rw\n"
    monkeypatch.setattr(filesystem, "_own_mounts", lambda: mounts)

    with pytest.raises(UnsupportedStore, match="nfs4"):
        connections.open_connection(address)
    assert not Path(address).exists()


def test_a_folder_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(StoreUnavailable, match=r"missing/q\.db cannot be created.*check that"):
        connections.open_connection(tmp_path / "missing" / "q.db")


def test_a_folder_in_the_place_of_the_file_is_unavailable(tmp_path: Path) -> None:
    with pytest.raises(StoreUnavailable):
        connections.open_connection(tmp_path)


def test_a_file_that_is_no_database_is_reported_and_left_as_it_is(address: str) -> None:
    Path(address).write_bytes(b"not a database, " * 1000)

    with pytest.raises(StoreCorrupt, match="not a database"):
        connections.open_connection(address)
    assert Path(address).read_bytes() == b"not a database, " * 1000


def test_a_database_without_tables_is_a_store_error(address: str) -> None:
    with pytest.raises(StoreError, match=r"queue\.db: no such table"):
        jobs.counts(Database(lambda: connections.open_connection(address)))


def test_a_connection_of_the_users_own_works_as_well(address: str) -> None:
    own = sqlite3.connect(address)
    own.row_factory = lambda cursor, row: {"shape": "of its own"}
    db = Database(lambda: own)
    migrate.apply(db)
    job_id = stored(db)

    assert ran(db).job_id == job_id
    assert jobs.counts(db) == {"completed": 1}
    own.close()


@pytest.mark.parametrize(
    ("module", "said"),
    [
        ("pymysql.connections", "of pymysql are not supported; use one of sqlite3, psycopg or"),
        ("sqlalchemy.engine.base", "`connection.connection.driver_connection`"),
        ("sqlalchemy.pool.base", "of sqlalchemy are not supported"),
    ],
)
def test_a_driver_that_is_not_known_is_refused(module: str, said: str) -> None:
    foreign = type("Connection", (), {"__module__": module})

    with pytest.raises(UnsupportedStore, match=re.escape(said)):
        dialect_of(foreign())


def test_an_asynchronous_connection_is_refused() -> None:
    connection = psycopg.AsyncConnection.__new__(psycopg.AsyncConnection)

    with pytest.raises(UnsupportedStore, match="asynchronous connections are not supported"):
        dialect_of(connection)


def beginning_of_the_log(address: str) -> bytes:
    """The numbers that are drawn anew whenever a writer begins the log anew."""
    return Path(f"{address}-wal").read_bytes()[16:24]


def test_a_long_log_is_written_back_and_emptied(db: Database, address: str) -> None:
    stored(db, params="x" * 200_000)
    connection = connections.open_connection(address)

    assert checkpoint.wal_size(address) > 200_000
    assert checkpoint.shorten(connection, truncate=True)
    assert checkpoint.wal_size(address) == checkpoint.wal_room(address) == 0
    assert setting(connection, "busy_timeout") <= 50


def test_the_room_of_a_log_is_kept_and_written_over(db: Database, address: str) -> None:
    ids = [stored(db, params="x" * 200_000) for _ in range(10)]
    connection = connections.open_connection(address)

    assert checkpoint.shorten(connection)
    room = checkpoint.wal_room(address)
    assert 0 < checkpoint.wal_size(address) < 10_000
    ids += [stored(db, params="y" * 200_000) for _ in range(5)]
    assert checkpoint.wal_room(address) == room
    assert len(listing.page(db, limit=-1)) == len(set(ids)) == 15
    assert connection.execute("PRAGMA integrity_check").fetchone()[0] == "ok"


def test_the_log_is_begun_anew_before_anybody_else_writes(db: Database, address: str) -> None:
    stored(db)
    connection = connections.open_connection(address)
    real, at_the_restart = connection.execute, []

    def execute(statement: str) -> sqlite3.Cursor:
        cursor = real(statement)
        if "RESTART" in statement:
            at_the_restart.append(beginning_of_the_log(address))
        return cursor

    connection.execute = execute  # type: ignore[method-assign,assignment]

    assert checkpoint.shorten(connection)
    assert beginning_of_the_log(address) not in at_the_restart


def test_the_part_of_the_log_that_is_in_use_is_distinguished_from_what_is_left_of_the_last_time(
    db: Database, address: str
) -> None:
    connection = connections.open_connection(address)
    page_size = setting(connection, "page_size")
    checkpoint.shorten(connection, truncate=True)
    assert checkpoint.wal_size(address) == 0
    for size in (1, 300_000, 10, 100_000):
        stored(db, params="x" * size)
        # It holds the number of frames.
        _, frames, _ = connection.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchone()
        assert checkpoint.wal_size(address) == 32 + frames * (24 + page_size)
        checkpoint.shorten(connection)
    assert checkpoint.wal_size(f"{address}-none") == checkpoint.wal_room(f"{address}-none") == 0


@pytest.mark.parametrize("moment", ["before", "after"])
def test_no_writer_begins_the_log_anew_while_it_is_written_back(
    db: Database, address: str, moment: str
) -> None:
    stored(db, params="x" * 2_000_000)
    connection = connections.open_connection(address)
    # As a foreign program leaves it: all is written back, and the next writer would begin anew.
    assert connection.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchone()[0] == 0
    real, seen = connection.execute, []

    def write() -> None:
        with closing(connections.open_another(address)) as other:
            other.execute("UPDATE jobs SET priority = priority + 1")

    def execute(statement: str) -> sqlite3.Cursor:
        if "PASSIVE" not in statement:
            return real(statement)
        seen.append(beginning_of_the_log(address))
        if moment == "before":
            write()
        cursor = real(statement)
        if moment == "after":
            write()
        seen.append(beginning_of_the_log(address))
        return cursor

    connection.execute = execute  # type: ignore[method-assign,assignment]

    assert checkpoint.shorten(connection)
    assert len(set(seen)) == 1
    assert [row["priority"] for row in listing.page(db)] == [1]


def test_while_somebody_writes_no_checkpoint_is_begun_that_would_not_wait_for_it(
    db: Database, address: str
) -> None:
    stored(db, params="x" * 2_000_000)
    connection = connections.open_connection(address)
    assert connection.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchone()[0] == 0
    real, seen = connection.execute, []
    connection.execute = lambda sql: (seen.append(sql), real(sql))[1]  # type: ignore[method-assign]
    with closing(sqlite3.connect(address, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")

        assert not checkpoint.shorten(connection)
        assert not [sql for sql in seen if "wal_checkpoint" in sql]
    assert checkpoint.shorten(connection)


def test_nobody_shortens_the_log_while_another_does(db: Database, address: str) -> None:
    stored(db)
    with checkpoint._elected(address) as elected:
        assert elected
        assert not checkpoint.shorten(connections.open_connection(address))
    assert checkpoint.wal_size(address) > 0


def test_a_reader_in_the_way_of_a_checkpoint_is_not_an_error(db: Database, address: str) -> None:
    reader = sqlite3.connect(address, isolation_level=None)
    reader.execute("BEGIN")
    reader.execute("SELECT count(*) FROM jobs").fetchone()
    stored(db)

    assert not checkpoint.shorten(connections.open_connection(address))
    reader.close()
    assert checkpoint.shorten(connections.open_connection(address))


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


def test_a_path_at_which_nothing_ever_was_is_not_called_gone(tmp_path: Path) -> None:
    with pytest.raises(StoreGone, match=r"there is no database at .*nix\.db; check the path"):
        JobQueue(str(tmp_path / "nix.db"), initialize=False).stats()


def test_a_file_that_is_gone_is_begun_again_as_the_message_says(tmp_path: Path) -> None:
    path = tmp_path / "queue.db"
    JobQueue(str(path)).stats()
    path.unlink()

    with pytest.raises(StoreGone, match=r"is gone: .*`gigq --db FILE worker --init`"):
        JobQueue(str(path), initialize=False).stats()
