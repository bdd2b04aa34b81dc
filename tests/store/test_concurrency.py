from __future__ import annotations

import collections
import multiprocessing
import sqlite3
import threading
import time
from typing import TYPE_CHECKING

import pytest
from support import stores
from support.ledger import COMPLETED, WORKER, insert, job_row, stored, swapped
from support.write_lock import WriteLock

from gigq.errors import StoreLocked
from gigq.model.claim import Claimant
from gigq.model.ids import new_id
from gigq.store.postgres import connections as postgres_connections
from gigq.store.sqlite import connections
from gigq.store.verbs import jobs, listing, settle_and_claim

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from gigq.store.database import Database

spawned = multiprocessing.get_context("spawn")
forked = multiprocessing.get_context("fork")


def work_off(address: str, name: str, note: Path) -> None:
    """Claim and settle until nothing is due, and write down what was claimed."""
    db = stores.database_at(address)
    claimant = Claimant(name, "worker:1")
    row, mine = None, []
    while (row := swapped(db, row, claimant)[1]) is not None:
        mine.append(row["id"])
    note.write_text("\n".join(mine))
    connections.close_connections()
    postgres_connections.close_connection(address)


def submit_some(address: str, number: int) -> None:
    db = stores.database_at(address)
    for _ in range(number):
        stored(db)


def test_processes_and_threads_claim_each_job_once(
    db: Database, address: str, tmp_path: Path
) -> None:
    ids = insert(db, [job_row() for _ in range(600)])
    notes = [tmp_path / f"{number}.txt" for number in range(6)]
    workers = [
        *(spawned.Process(target=work_off, args=(address, str(n), notes[n])) for n in range(2)),
        *(forked.Process(target=work_off, args=(address, str(n), notes[n])) for n in range(2, 4)),
        *(threading.Thread(target=work_off, args=(address, str(n), notes[n])) for n in (4, 5)),
    ]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(60)
    claimed = collections.Counter(id_ for note in notes for id_ in note.read_text().split())

    assert claimed == dict.fromkeys(ids, 1)
    assert jobs.counts(db) == {"completed": 600}
    assert settle_and_claim.open_executions(db) == []


def test_submitters_do_not_lose_a_job_while_others_claim(
    db: Database, address: str, tmp_path: Path
) -> None:
    stored(db)
    submitters = [
        *(spawned.Process(target=submit_some, args=(address, 50)) for _ in range(2)),
        *(threading.Thread(target=submit_some, args=(address, 50)) for _ in range(2)),
    ]
    for submitter in submitters:
        submitter.start()
    work_off(address, "w", tmp_path / "first.txt")
    for submitter in submitters:
        submitter.join(60)
    work_off(address, "w", tmp_path / "second.txt")

    assert jobs.counts(db) == {"completed": 201}


@pytest.fixture
def holder(address: str, db: Database) -> Iterator[sqlite3.Connection]:
    """A foreign connection to the same file."""
    connection = sqlite3.connect(address, isolation_level=None, check_same_thread=False)
    yield connection
    connection.close()


@pytest.mark.only("sqlite")
def test_a_locked_database_is_waited_for(db: Database, holder: sqlite3.Connection) -> None:
    holder.execute("BEGIN IMMEDIATE")
    waiting = threading.Event()

    def release() -> None:
        waiting.wait(10)
        holder.execute("COMMIT")

    thread = threading.Thread(target=release)
    thread.start()
    real = db._get_connection

    def noting() -> object:
        waiting.set()
        return real()

    db._get_connection = noting
    job_id = stored(db)
    thread.join()

    assert jobs.get(db, job_id) is not None


@pytest.mark.only("sqlite")
@pytest.mark.parametrize("verb", ["insert", "claim", "settle", "cancel"])
def test_a_database_that_stays_locked_is_a_clear_error_in_bounded_time(
    db: Database, address: str, verb: str
) -> None:
    db.lock_timeout = 0.2
    lock = WriteLock(address)
    lock.take()
    verbs = {
        "insert": lambda: stored(db),
        "claim": lambda: settle_and_claim.claim(db, WORKER, new_id()),
        "settle": lambda: settle_and_claim.settle(db, "e", COMPLETED),
        "cancel": lambda: jobs.cancel(db, ["j"]),
    }
    started = time.monotonic()

    with pytest.raises(StoreLocked, match=r"queue\.db was locked .* for 0\.2 s; find the process"):
        verbs[verb]()
    assert time.monotonic() - started >= 0.2

    lock.release()

    assert stored(db)


@pytest.mark.only("sqlite")
def test_readers_do_not_wait_for_a_writer(db: Database, holder: sqlite3.Connection) -> None:
    db.lock_timeout = 0
    job_id = stored(db)
    holder.execute("BEGIN IMMEDIATE")

    assert jobs.get(db, job_id) is not None
    assert jobs.counts(db) == {"pending": 1}


@pytest.mark.only("sqlite")
def test_what_fails_in_the_middle_is_undone_and_the_lock_is_let_go(
    db: Database, holder: sqlite3.Connection
) -> None:
    def stumble() -> None:
        with db.transaction(durable=True) as session:
            session.run("cancel_jobs", {"ids": f'["{job_id}"]', "now": session.now})
            raise RuntimeError("stumbled")

    job_id = stored(db)
    with pytest.raises(RuntimeError, match="stumbled"):
        stumble()
    holder.execute("BEGIN IMMEDIATE")
    holder.execute("COMMIT")
    row = jobs.get(db, job_id)

    assert row is not None
    assert row["status"] == "pending"


@pytest.mark.only("sqlite")
def test_a_submit_inside_the_callers_transaction_is_a_part_of_it(
    db: Database, address: str, holder: sqlite3.Connection
) -> None:
    connection = connections.open_connection(address)
    connection.execute("BEGIN IMMEDIATE")
    kept = stored(db)
    with pytest.raises(Exception, match="nobody"):
        stored(db, dependencies=["nobody"])

    assert holder.execute("SELECT count(*) FROM jobs").fetchone() == (0,)

    connection.execute("COMMIT")

    assert [row["id"] for row in listing.page(db)] == [kept]
