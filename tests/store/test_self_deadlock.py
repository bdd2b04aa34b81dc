"""A thread that submits while a connection of its own has a write transaction open on the file."""

import os
import sqlite3
import subprocess
import sys
import threading
from contextlib import closing

import pytest

import gigq
from gigq.errors import StoreLocked
from gigq.store.sqlite import self_deadlock, transactions


@pytest.fixture
def queue(tmp_path):
    with gigq.JobQueue(tmp_path / "jobs.db") as queue:
        yield queue


def begun(queue, **options):
    """A connection of the application with a row that is not committed."""
    connection = sqlite3.connect(queue.db_path, **options)
    connection.execute("CREATE TABLE IF NOT EXISTS orders (number)")
    connection.commit()
    connection.execute("INSERT INTO orders VALUES (1)")
    return closing(connection)


def job():
    return gigq.Job("job", os.getpid)


@pytest.mark.parametrize("options", [{}, {"check_same_thread": False}])
def test_it_is_refused_at_once_and_the_error_names_the_thread_itself(queue, options):
    queue.lock_timeout = 60
    with begun(queue, **options) as connection:
        with pytest.raises(StoreLocked, match="by this thread itself: another of its connections"):
            queue.submit(job())
        connection.commit()
        queue.submit(job())

    assert queue.stats()["total"] == 1


def test_it_is_refused_beside_other_threads_too(queue):
    queue.lock_timeout = 60
    end = threading.Event()
    other = threading.Thread(target=end.wait)
    other.start()
    with begun(queue), pytest.raises(StoreLocked, match="by this thread itself"):
        queue.submit(job())
    end.set()
    other.join()


@pytest.mark.parametrize("options", [{}, {"check_same_thread": False}])
def test_the_transaction_of_another_thread_is_waited_for(queue, monkeypatch, options):
    ready, may_end = threading.Event(), threading.Event()

    def holds_it():
        with begun(queue, **options) as connection:
            ready.set()
            may_end.wait()
            connection.commit()

    thread = threading.Thread(target=holds_it)
    thread.start()
    ready.wait()
    looked = []
    monkeypatch.setattr(transactions, "patiently", _noting(looked, may_end))
    queue.submit(job())
    thread.join()

    assert looked
    assert queue.stats()["total"] == 1


def _noting(looked, may_end):
    """Let the other thread go on once the first tries were in vain."""

    patiently = transactions.patiently

    def waits(limits, connection, action):
        tries = 0

        def counted():
            nonlocal tries
            tries += 1
            if tries == 100:  # long after the look at who holds the lock
                looked.append(tries)
                may_end.set()
            return action()

        return patiently(limits, connection, counted)

    return waits


def test_a_transaction_on_another_file_is_none_of_its_business(queue, tmp_path):
    with begun(gigq.JobQueue(tmp_path / "other.db")):
        queue.submit(job())

    assert queue.stats()["total"] == 1


def test_a_transaction_on_another_file_does_not_count_while_another_thread_has_the_lock(
    queue, monkeypatch, tmp_path
):
    ready, may_end = threading.Event(), threading.Event()

    def holds_it():
        with begun(queue) as connection:
            ready.set()
            may_end.wait(60)
            connection.commit()

    thread = threading.Thread(target=holds_it)
    thread.start()
    ready.wait(60)
    looked = []
    monkeypatch.setattr(transactions, "patiently", _noting(looked, may_end))
    with begun(gigq.JobQueue(tmp_path / "other.db")):
        queue.submit(job())
    thread.join()

    assert looked
    assert queue.stats()["total"] == 1


HOLDER = """
import sqlite3, sys
connection = sqlite3.connect(sys.argv[1], isolation_level=None)
connection.execute("BEGIN IMMEDIATE")
print("held", flush=True)
sys.stdin.read()
connection.execute("COMMIT")
"""


class _End:
    """Ends the process that holds the lock."""

    def __init__(self, process):
        self._process = process

    def set(self):
        self._process.stdin.close()


def test_a_transaction_that_reads_does_not_count_while_another_process_has_the_lock(
    queue, monkeypatch
):
    queue.submit(job())
    looked = []
    with (
        closing(sqlite3.connect(queue.db_path, isolation_level=None)) as reader,
        subprocess.Popen(
            [sys.executable, "-c", HOLDER, queue.db_path],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        ) as process,
    ):
        reader.execute("BEGIN")
        reader.execute("SELECT count(*) FROM jobs").fetchall()
        assert process.stdout.readline() == b"held\n"
        monkeypatch.setattr(transactions, "patiently", _noting(looked, _End(process)))
        queue.submit(job())

    assert looked
    assert queue.stats()["total"] == 2


WORKER = """
import os, sqlite3, sys
import gigq

kept = []

def left_open(path):
    kept.append(sqlite3.connect(path, isolation_level=None))
    kept[-1].execute("BEGIN IMMEDIATE")

if __name__ == "__main__":
    path = sys.argv[1]
    gigq.JobQueue(path).submit(gigq.Job("left open", left_open, {"path": path}))
    gigq.Worker(path).start()
"""


def test_a_plain_worker_ends_whose_job_has_left_its_transaction_on_the_queue_open(tmp_path):
    program = tmp_path / "program.py"
    program.write_text(WORKER)

    done = subprocess.run(
        [sys.executable, program, tmp_path / "jobs.db"], capture_output=True, text=True, timeout=60
    )

    assert done.returncode == 1
    assert "LockedByThisThread: " in done.stderr
    assert gigq.JobQueue(tmp_path / "jobs.db").stats()["running"] == 1


def test_a_connection_that_its_thread_closes_during_the_look_does_not_fail_a_submit(
    queue, monkeypatch
):
    looks = self_deadlock._is_bound_to_a_thread

    def closed_then(connection):
        connection.close()
        return looks(connection)

    with begun(queue, check_same_thread=False):
        monkeypatch.setattr(self_deadlock, "_is_bound_to_a_thread", closed_then)
        monkeypatch.setattr(threading, "active_count", lambda: 2)
        queue.submit(job())

    assert queue.stats()["total"] == 1
