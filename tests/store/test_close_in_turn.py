"""The last process that leaves in good order leaves one complete file."""

from __future__ import annotations

import fcntl
import os
import sqlite3
import subprocess
import sys
import threading
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from support.ledger import stored

from gigq.store.sqlite import close_in_turn as turns
from gigq.store.sqlite import connections
from gigq.store.sqlite.file import private_files

if TYPE_CHECKING:
    from gigq.store.database import Database

pytestmark = pytest.mark.only("sqlite")

BEGINNING = """
import atexit, os, sys, threading
from gigq import Job, JobQueue
path = sys.argv[1]
queue = JobQueue(path)
def submit(name="job"):
    return queue.submit(Job(name, os.getpid))
"""

AT_ONCE = 8


def beside(path: str) -> list[str]:
    """The names of the files that begin as the database's, its folder left out."""
    file = Path(path)
    return sorted(each.name for each in file.parent.glob(f"{file.name}*") if each.is_file())


def jobs_in_a_copy(path: str) -> int:
    """How many jobs a plain copy of the one file has."""
    copy = Path(path).with_name("copy.db")
    copy.write_bytes(Path(path).read_bytes())
    with closing(sqlite3.connect(copy)) as reader:
        return int(reader.execute("SELECT count(*) FROM jobs").fetchone()[0])


def run_program(path: str, text: str) -> str:
    done = subprocess.run(
        [sys.executable, "-c", BEGINNING + text, path], capture_output=True, text=True, check=True
    )
    return done.stderr


def test_a_program_that_ends_leaves_one_complete_file(address: str) -> None:
    run_program(address, "submit()")

    assert beside(address) == [Path(address).name]
    assert jobs_in_a_copy(address) == 1


def test_connections_of_threads_that_still_run_at_the_end_are_closed_as_well(address: str) -> None:
    complaints = run_program(
        address,
        """
stored = threading.Event()
def work():
    submit()
    stored.set()
    threading.Event().wait()
threading.Thread(target=work, daemon=True).start()
stored.wait()
submit("of the main thread")
""",
    )

    assert complaints == ""
    assert beside(address) == [Path(address).name]
    assert jobs_in_a_copy(address) == 2


def test_a_child_of_multiprocessing_that_ends_last_leaves_one_complete_file(address: str) -> None:
    run_program(
        address,
        """
import multiprocessing
queue.close()
child = multiprocessing.get_context("fork").Process(target=submit)
child.start()
child.join()
assert child.exitcode == 0
os._exit(0)
""",
    )

    assert beside(address) == [Path(address).name]
    assert jobs_in_a_copy(address) == 1


def test_of_many_that_leave_at_the_same_moment_the_last_one_leaves_one_file(
    db: Database, address: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for patience in ("PATIENCE", "PATIENCE_WITH_OTHERS"):  # on a loaded machine turns take longer
        monkeypatch.setattr(turns, patience, 60.0)
    stored(db)
    connections.close_connections()
    for _ in range(10):
        ready, done = os.pipe()
        go, start = os.pipe()
        children = [_child_that_closes(address, done, go, start) for _ in range(AT_ONCE)]
        for _ in children:
            os.read(ready, 1)
        os.close(start)  # all of them at once
        codes = [os.waitpid(child, 0)[1] for child in children]
        for descriptor in (ready, done, go):
            os.close(descriptor)

        assert codes == [0] * AT_ONCE
        assert beside(address) == [Path(address).name]


def _child_that_closes(path: str, done: int, go: int, start: int) -> int:
    child = os.fork()
    if child:
        return child
    code = 1
    try:
        os.close(start)
        connections.open_connection(path).execute("SELECT count(*) FROM jobs").fetchone()
        os.write(done, b"1")
        os.read(go, 1)
        connections.close_all_connections()
        code = 0
    finally:
        os._exit(code)


def test_a_connection_waits_until_another_process_has_closed_its_own(
    db: Database, address: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    stored(db)
    asked = threading.Event()
    answer = private_files.try_flock

    def asking(lock: int, how: int) -> bool:
        mine = answer(lock, how)
        if not mine:
            asked.set()
        return mine

    with turns.turn_to_close(address):
        monkeypatch.setattr(private_files, "try_flock", asking)
        closer = threading.Thread(target=connections.close_all_connections)
        closer.start()
        assert asked.wait(10)
        assert len(beside(address)) == 3
    closer.join()

    assert beside(address) == [Path(address).name]


def test_a_connection_is_closed_without_its_turn_when_that_does_not_come(
    db: Database, address: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(turns, "PATIENCE", 0.05)
    stored(db)
    with turns.turn_to_close(address):
        connections.close_connections()

    assert beside(address) == [Path(address).name]


def test_another_account_that_locks_the_folder_of_a_database_does_not_hold_its_closing_up(
    db: Database, address: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(turns, "PATIENCE", 600.0)
    stored(db)
    lock = os.open(Path(address).parent, os.O_RDONLY)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX)
        connections.close_connections()
    finally:
        os.close(lock)

    assert beside(address) == [Path(address).name]


def test_the_end_of_a_process_does_not_close_a_connection_within_a_transaction(
    db: Database, address: str
) -> None:
    stored(db)
    connection = connections.open_another(address)
    with closing(connection):
        connection.execute("BEGIN IMMEDIATE")
        connections.close_all_connections()

        assert not connection.closed
        connection.execute("ROLLBACK")
