"""Free pages go back to the disk, and nothing of what is stored is lost by that."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from gigq import Job, JobQueue
from gigq.store import migrate
from gigq.store.database import Database
from gigq.store.sqlite import checkpoint, connections, vacuum
from gigq.store.sqlite.vacuum import Vacuum

pytestmark = pytest.mark.only("sqlite")


def work(text: str) -> None:
    """A job."""


@pytest.fixture(autouse=True)
def little(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(vacuum, "_SPARE", 10)


@pytest.fixture
def path(tmp_path: Path) -> str:
    return str(tmp_path / "jobs.db")


@pytest.fixture
def db(path: str) -> Database:
    database = Database(lambda: connections.open_connection(path))
    migrate.apply(database)
    return database


def ask(path: str, what: str) -> int | str:
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA wal_autocheckpoint=0")
        found: int | str = connection.execute(f"PRAGMA {what}").fetchone()[0]
        return found


def fill_and_empty(path: str, kept: int) -> list[str]:
    """A file of 200 large jobs, the first of which are deleted; the ids of those that are kept."""
    queue = JobQueue(path)
    ids = queue.submit_many([Job("j", work, {"text": "x" * 8000}) for _ in range(200)])
    for id_ in ids[: 200 - kept]:
        queue.cancel(id_)
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("PRAGMA wal_autocheckpoint=0")
        connection.execute("DELETE FROM jobs WHERE status = 'cancelled'")
    return ids[200 - kept :]


def size_on_disk(path: str) -> int:
    assert checkpoint.shorten(connections.open_connection(path), truncate=True)
    return Path(path).stat().st_size


def test_a_file_gets_shorter_and_keeps_what_is_stored(db: Database, path: str) -> None:
    kept = fill_and_empty(path, 40)
    before = size_on_disk(path)
    one = Vacuum(db)
    batches = 0
    while one.batch():
        batches += 1

    assert batches > 1
    assert size_on_disk(path) == one.size < before / 2
    assert ask(path, "freelist_count") > 0, "some pages are left, to be used again"
    assert ask(path, "integrity_check") == "ok"
    assert sorted(row["id"] for row in JobQueue(path).list_jobs()) == sorted(kept)


def test_a_file_with_few_free_pages_is_left_alone(db: Database, path: str) -> None:
    fill_and_empty(path, 170)
    free = ask(path, "freelist_count")
    one = Vacuum(db)

    assert not one.batch()
    assert (ask(path, "freelist_count"), one.size) == (free, 0)
    assert free


def test_a_file_that_cannot_give_pages_back_is_left_alone(path: str) -> None:
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("CREATE TABLE other (x)")
    db = Database(lambda: connections.open_connection(path))
    migrate.apply(db)
    fill_and_empty(path, 10)

    assert ask(path, "auto_vacuum") == 0
    assert not Vacuum(db).batch()


def test_what_others_have_used_meanwhile_is_not_given_back(db: Database, path: str) -> None:
    fill_and_empty(path, 40)
    one = Vacuum(db)
    assert one.batch()
    JobQueue(path).submit_many([Job("j", work, {"text": "y" * 8000}) for _ in range(160)])

    assert not one.batch()
    assert ask(path, "integrity_check") == "ok"


def test_pruning_gives_back_what_it_has_freed(db: Database, path: str) -> None:
    queue = JobQueue(path)
    ids = queue.submit_many([Job("j", work, {"text": "x" * 8000}) for _ in range(200)])
    for id_ in ids:
        queue.cancel(id_)
    before = size_on_disk(path)
    queue.prune(keep=0, dry_run=True)
    assert size_on_disk(path) == before
    queue.prune(keep=0)

    assert size_on_disk(path) < before / 2
