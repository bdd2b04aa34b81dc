"""A fork while another thread is inside SQLite."""

import os
import sqlite3
import subprocess
import sys
import threading
from contextlib import closing

from support.earlier_schemas import make_file
from support.forked import in_a_child
from support.waiting import wait_until

import gigq
from gigq.store.sqlite import forks

APPLICATION = """
import os, sys, threading, time
import gigq
from gigq.store.sqlite import forks

queue = gigq.JobQueue(sys.argv[1])
queue.lock_timeout = 2
begun, forked = threading.Event(), threading.Event()
os.register_at_fork(after_in_parent=forked.set)

def submits_slowly():
    with queue._database.transaction(durable=False):
        begun.set()
        while not (forked.is_set() or forks._registering.locked()):
            time.sleep(0.001)

thread = threading.Thread(target=submits_slowly)
thread.start()
begun.wait()
if (pid := os.fork()) == 0:
    queue.submit(gigq.Job("of the child", os.getpid))
    os._exit(0)
_, status = os.waitpid(pid, 0)
thread.join()
queue.submit(gigq.Job("of the parent", os.getpid))
print(os.waitstatus_to_exitcode(status), queue.stats()["total"])
"""


def test_a_child_that_is_forked_in_another_threads_transaction_can_submit(tmp_path):
    done = subprocess.run(
        # Python 3.12 and later warn of each fork beside a thread, which is what this is about.
        [sys.executable, "-W", "ignore:This process", "-c", APPLICATION, tmp_path / "jobs.db"],
        capture_output=True,
        text=True,
        timeout=120,
    )

    assert (done.stdout, done.stderr) == ("0 2\n", "")


def test_a_thread_holds_its_lock_in_a_transaction_only(tmp_path):
    queue = gigq.JobQueue(tmp_path / "jobs.db")
    lock = forks.inside_sqlite()

    def is_free():
        taken = []

        def take():
            if lock.acquire(blocking=False):
                taken.append(True)
                lock.release()

        thread = threading.Thread(target=take)
        thread.start()
        thread.join()
        return bool(taken)

    with queue._database.transaction(durable=False):
        in_transaction = is_free()
    with queue._database.read():
        in_read = is_free()
    queue.submit(gigq.Job("job", os.getpid))
    queue.close()

    assert (in_transaction, in_read) == (False, False)
    assert is_free()


def test_a_thread_that_waits_for_a_locked_database_does_not_hold_up_a_fork(tmp_path):
    queue = gigq.JobQueue(tmp_path / "jobs.db")
    other = gigq.JobQueue(tmp_path / "jobs.db")
    known = set(forks._locks)
    with queue._database.transaction(durable=False):
        thread = threading.Thread(target=lambda: other.submit(gigq.Job("job", os.getpid)))
        thread.start()
        (lock,) = wait_until(lambda: set(forks._locks) - known)
        was_free = lock.acquire(timeout=10)
        lock.release()
    thread.join()

    assert was_free
    assert queue.stats()["total"] == 1


def test_a_queue_that_waits_for_its_file_lets_others_and_forked_processes_go_on(tmp_path):
    make_file(str(tmp_path / "old.db"), 1)
    with closing(sqlite3.connect(tmp_path / "old.db", isolation_level=None)) as holder:
        holder.execute("BEGIN EXCLUSIVE")
        waiting = gigq.JobQueue(tmp_path / "old.db", initialize=False)
        thread = threading.Thread(target=waiting.stats)
        thread.start()
        wait_until(lambda: "_connected" in vars(waiting))

        other = gigq.JobQueue(tmp_path / "other.db")
        other.submit(gigq.Job("of the parent", os.getpid))
        said = in_a_child(lambda: bool(other.submit(gigq.Job("of the child", os.getpid))))
        still_waits = thread.is_alive()
        holder.execute("ROLLBACK")
        thread.join()

    assert (said, still_waits, other.stats()["total"]) == ("True", True, 2)


def test_a_child_has_no_locks_of_threads_that_it_does_not_have(tmp_path):
    gigq.JobQueue(tmp_path / "jobs.db").stats()
    ready, end = threading.Event(), threading.Event()

    def use():
        forks.inside_sqlite()
        ready.set()
        end.wait(60)

    thread = threading.Thread(target=use)
    thread.start()
    ready.wait(60)
    known, in_child = len(forks._locks), in_a_child(lambda: len(forks._locks))
    end.set()
    thread.join()

    assert known > 1
    assert in_child == "1"


def test_a_fork_does_not_wait_for_ever_for_a_thread_inside_sqlite(monkeypatch):
    monkeypatch.setattr(forks, "PATIENCE", 0.01)
    ready, end = threading.Event(), threading.Event()

    def stays_inside():
        with forks.inside_sqlite():
            ready.set()
            end.wait(60)

    thread = threading.Thread(target=stays_inside)
    thread.start()
    ready.wait(60)
    said = in_a_child(lambda: "the child")
    was_inside = thread.is_alive()
    end.set()
    thread.join()

    assert (said, was_inside) == ("the child", True)
