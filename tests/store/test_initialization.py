"""Where a queue may be begun, and where it may not."""

from __future__ import annotations

import os
import shutil
import sqlite3
import subprocess
import sys
import threading
import time
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from support.files import open_up
from support.forked import in_a_child
from support.ledger import stored

from gigq import JobQueue, Worker
from gigq.errors import NoQueue, StoreGone, UnsupportedStore
from gigq.store import initialization
from gigq.store.database import Database
from gigq.store.migrate import Begin
from gigq.store.sqlite import connections, initialized_mark, restored_file
from gigq.store.sqlite.processes.run_locks import companion_path

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

HOLDER = """
import sys
from gigq.store.sqlite.processes.run_locks import RunLock
held = RunLock(sys.argv[1], "worker")
print("held", flush=True)
sys.stdin.readline()
"""


@pytest.fixture
def path(tmp_path: Path) -> Iterator[str]:
    yield str(tmp_path / "jobs.db")
    connections.close_connections()


@contextmanager
def live_run(path: str) -> Iterator[None]:
    """Another process that runs jobs of the queue."""
    with subprocess.Popen(
        [sys.executable, "-c", HOLDER, path], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == b"held\n"
        yield
        holder.communicate(b"\n")


def open_as_a_worker(path: str) -> None:
    begin = initialization.prepare_file(path)
    initialization.open_queue(Database(lambda: connections.open_connection(path)), path, begin)


def lose(path: str, how: str) -> None:
    """Lose the database that a worker has begun."""
    open_as_a_worker(path)
    connections.close_connections()
    Path(path).unlink()
    if how == "empty":
        Path(path).touch()


def foreign(path: str) -> None:
    with closing(sqlite3.connect(path)) as other:
        other.execute("CREATE TABLE customers (name TEXT)")


def tables(path: str) -> set[str]:
    with closing(sqlite3.connect(path)) as reader:
        return {name for (name,) in reader.execute("SELECT name FROM sqlite_master")}


def test_a_worker_begins_a_queue_where_none_was(path: str) -> None:
    open_as_a_worker(path)

    assert JobQueue(path, initialize=False).stats()["total"] == 0
    assert initialized_mark.held_queue(path)


@pytest.mark.parametrize("how", ["missing", "empty"])
def test_a_worker_begins_no_queue_where_one_was_lost(path: str, how: str) -> None:
    lose(path, how)

    with pytest.raises(NoQueue, match=f"held a queue and is {how}: .* --init"):
        open_as_a_worker(path)
    assert Path(path).exists() is (how == "empty")


@pytest.mark.parametrize("how", ["missing", "empty"])
def test_a_queue_that_was_lost_is_begun_on_request(path: str, how: str) -> None:
    lose(path, how)

    initialization.initialize(path)

    assert JobQueue(path).stats()["total"] == 0


@pytest.mark.parametrize("how", ["missing", "empty"])
def test_an_application_begins_a_queue_where_one_was_lost(path: str, how: str) -> None:
    lose(path, how)

    assert JobQueue(path).stats()["total"] == 0


@pytest.mark.parametrize("how", ["missing", "empty"])
def test_an_application_begins_none_where_a_worker_still_runs(path: str, how: str) -> None:
    lose(path, how)

    with live_run(path), pytest.raises(NoQueue, match="it is in use"):
        JobQueue(path)
    assert how == "empty" or not Path(path).exists()
    assert how == "missing" or not Path(path).stat().st_size


def test_a_path_whose_worker_has_just_begun_is_shared_by_an_application(path: str) -> None:
    with live_run(path):
        assert JobQueue(path).stats()["total"] == 0


def test_a_database_of_another_program_gets_no_tables_from_a_worker(path: str) -> None:
    foreign(path)

    with pytest.raises(UnsupportedStore, match=r"tables of another program \(customers\)"):
        open_as_a_worker(path)
    with pytest.raises(UnsupportedStore, match="another program"):
        Worker(path).process_one()
    connections.close_connections()

    assert tables(path) == {"customers"}


def test_a_database_of_another_program_gets_tables_on_request_and_from_an_application(
    path: str,
) -> None:
    foreign(path)
    other = f"{path}.other"
    foreign(other)

    initialization.initialize(path)
    JobQueue(other)

    assert {"customers", "jobs"} <= tables(path)
    assert {"customers", "jobs"} <= tables(other)


def test_a_file_that_is_not_to_be_initialised_is_not_created(path: str) -> None:
    queue = JobQueue(path, initialize=False)

    with pytest.raises(StoreGone):
        queue.stats()
    assert not Path(path).exists()


def test_an_empty_file_that_is_not_to_be_initialised_stays_empty(path: str) -> None:
    Path(path).touch()
    queue = JobQueue(path, initialize=False)

    with pytest.raises(NoQueue):
        queue.stats()
    assert not Path(path).stat().st_size


def test_a_queue_begun_on_request_is_written_down_for_a_daemon(path: str) -> None:
    initialization.initialize(path)

    assert initialization.prepare_file(path) is Begin.NEVER


def test_a_file_in_place_of_an_open_one_is_not_begun_while_it_is_empty(path: str) -> None:
    queue = JobQueue(path)
    queue.stats()
    Path(path).rename(f"{path}.away")
    for end in ("-wal", "-shm"):
        Path(f"{path}{end}").rename(f"{path}.away{end}")
    Path(path).touch()

    with pytest.raises(NoQueue, match="is empty"):
        queue.stats()
    assert not Path(path).stat().st_size


def test_a_file_is_complete_once_it_is_as_long_as_its_header_says(path: str) -> None:
    JobQueue(path)
    stored(Database(lambda: connections.open_connection(path)))
    connections.close_connections()
    whole = Path(path).read_bytes()
    Path(path).write_bytes(whole[:-1])
    os.utime(path, (1, 1))

    with pytest.raises(StoreGone, match=f"has {len(whole) - 1} bytes of {len(whole)}"):
        restored_file.wait_until_complete(path, 0)
    Path(path).write_bytes(whole)
    os.utime(path, (1, 1))

    restored_file.wait_until_complete(path, 0)


def test_a_file_that_was_just_changed_is_waited_for(path: str) -> None:
    JobQueue(path)
    connections.close_connections()
    os.utime(path)

    with pytest.raises(StoreGone, match="still being written"):
        restored_file.wait_until_complete(path, 0)
    restored_file.wait_until_complete(path, 30)


def test_a_file_that_the_last_process_has_left_complete_is_not_waited_for(path: str) -> None:
    initialization.initialize(path)
    stored(Database(lambda: connections.open_connection(path)))
    connections.close_connections()

    restored_file.wait_until_complete(path, 0)
    os.utime(path)

    with pytest.raises(StoreGone, match="still being written"):
        restored_file.wait_until_complete(path, 0)


@pytest.mark.parametrize("kind", ["fifo", "link to a device"])
def test_a_mark_that_is_no_plain_file_is_not_read(path: str, kind: str) -> None:
    initialization.initialize(path)
    connections.close_connections()
    mark = companion_path(path) / "initialized"
    mark.unlink()
    if kind == "fifo":
        os.mkfifo(mark)
    else:
        mark.symlink_to("/dev/zero")
    os.utime(path)

    with pytest.raises(StoreGone, match="still being written"):
        restored_file.wait_until_complete(path, 0)


def test_a_file_with_a_time_in_the_future_is_taken_once_it_stays_the_same(path: str) -> None:
    JobQueue(path)
    connections.close_connections()
    future = time.time() + 10_000
    os.utime(path, (future, future))

    restored_file.wait_until_complete(path, 30)


def test_a_restored_file_is_used_by_an_application_that_had_the_old_one_open(path: str) -> None:
    queue = JobQueue(path)
    connections.close_connections()
    shutil.copy(path, f"{path}.good")
    queue.stats()
    for end in ("", "-wal", "-shm"):
        Path(f"{path}{end}").rename(f"{path}.away{end}")
    good = Path(f"{path}.good").read_bytes()

    def fill() -> None:
        with Path(path).open("wb") as file:
            file.write(good[:5000])
            file.flush()
            half.set()
            asked.wait(30)
            file.write(good[5000:])

    half, asked = threading.Event(), threading.Event()
    filler = threading.Thread(target=fill)
    filler.start()
    half.wait(30)
    with pytest.raises(StoreGone, match="bytes of"):
        restored_file.wait_until_complete(path, 0)
    asked.set()
    filler.join()

    assert queue.stats()["total"] == 0


@pytest.mark.fault("G15")
@pytest.mark.root
@pytest.mark.skipif(os.geteuid() != 0, reason="only root can be another account")
@pytest.mark.parametrize("begins", [JobQueue, open_as_a_worker], ids=["library", "worker"])
def test_an_account_to_which_the_folder_beside_it_is_closed_begins_no_queue_either(
    path: str, tmp_path: Path, begins: Callable[[str], object]
) -> None:
    lose(path, "missing")
    open_up(tmp_path)
    tmp_path.chmod(0o777)

    def as_another_account() -> object:
        os.setgroups([])
        os.setgid(4711)
        os.setuid(4711)
        return begins(path)

    assert "NoQueue: " in in_a_child(as_another_account)
    assert not Path(path).exists()
