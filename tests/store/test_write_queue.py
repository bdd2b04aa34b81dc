"""The write queue: in order, freed by a death, and never needed."""

from __future__ import annotations

import fcntl
import os
import signal
import stat
import struct
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import pytest
from support.ledger import stored
from support.waiting import wait_until

from gigq.store.sqlite import write_queue as module
from gigq.store.sqlite.processes.run_locks import companion
from gigq.store.sqlite.write_queue import WriteQueue, write_queue_of
from gigq.store.verbs import jobs

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from gigq.store.database import Database

pytestmark = pytest.mark.only("sqlite")

_FLOCK = struct.Struct("@hhqqi")


@pytest.fixture
def path(address: str) -> str:
    companion(address)
    return address


@contextmanager
def child(action: Callable[[], Any]) -> Iterator[int]:
    """A forked process that has done `action` and waits to be killed; its pid."""
    reader, writer = os.pipe()
    pid = os.fork()
    if pid == 0:
        action()
        os.write(writer, b"\0")
        signal.pause()
    os.close(writer)
    try:
        os.read(reader, 1)
        yield pid
    finally:
        os.close(reader)
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)


@contextmanager
def waiting(action: Callable[[], Any]) -> Iterator[int]:
    """A forked process that does `action` and ends; its pid."""
    pid = os.fork()
    if pid == 0:
        action()
        os._exit(0)
    try:
        yield pid
    finally:
        os.waitpid(pid, 0)


def first_in_line(path: str, before: int = 0) -> int:
    """The place of the first waiting process, or of the first `before` a place; 0 without one."""
    descriptor = write_queue_of(path)._descriptor
    length = before - module._QUEUE_OFFSET if before else 0
    asked = _FLOCK.pack(fcntl.F_WRLCK, os.SEEK_SET, module._QUEUE_OFFSET, length, 0)
    kind, _, start, _, _ = _FLOCK.unpack(fcntl.fcntl(descriptor, fcntl.F_GETLK, asked))
    return 0 if kind == fcntl.F_UNLCK else start


def passed(write_queue: WriteQueue) -> bool:
    held = write_queue.enter(urgent=False)
    if held:
        write_queue.leave()
    return held


def test_the_file_is_private(path: str) -> None:
    assert passed(write_queue_of(path))
    assert stat.S_IMODE((companion(path) / "write-queue").stat().st_mode) == 0o600


@pytest.mark.parametrize(("urgent", "order"), [(False, "first second"), (True, "second first")])
def test_the_first_in_the_queue_writes_first_and_an_urgent_one_before_it(
    path: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, urgent: bool, order: str
) -> None:
    monkeypatch.setattr(module, "_PATIENCE", 60_000_000)
    monkeypatch.setattr(module, "_HEAD_START", 60_000_000)
    book = tmp_path / "book"

    def come(name: str, *, urgent: bool) -> None:
        write_queue = WriteQueue(path)
        assert write_queue.enter(urgent=urgent)
        with book.open("a") as file:
            file.write(f"{name} ")
        write_queue.leave()

    mine = write_queue_of(path)
    assert mine.enter(urgent=False)
    with waiting(lambda: come("first", urgent=False)):
        wait_until(lambda: first_in_line(path))
        place = first_in_line(path)
        with waiting(lambda: come("second", urgent=urgent)):
            wait_until(lambda: stands_in_line(path, place, urgent=urgent))
            mine.leave()

    assert book.read_text().strip() == order


def stands_in_line(path: str, place: int, *, urgent: bool) -> bool:
    if urgent:
        return first_in_line(path, before=place) > 0
    descriptor = write_queue_of(path)._descriptor
    asked = _FLOCK.pack(fcntl.F_WRLCK, os.SEEK_SET, place + 1, 0, 0)
    return _FLOCK.unpack(fcntl.fcntl(descriptor, fcntl.F_GETLK, asked))[0] != fcntl.F_UNLCK


def test_a_holder_that_dies_frees_it(path: str) -> None:
    with child(lambda: write_queue_of(path).enter(urgent=False)):
        assert not passed(WriteQueue(path))

    assert passed(WriteQueue(path))


def test_what_a_job_forks_does_not_keep_it(path: str, tmp_path: Path) -> None:
    left_behind = tmp_path / "pid"

    def hold_and_fork() -> None:
        write_queue_of(path).enter(urgent=False)
        if pid := os.fork():
            left_behind.write_text(str(pid))
        else:
            signal.pause()

    with child(hold_and_fork):
        assert not passed(WriteQueue(path))
    try:
        assert passed(WriteQueue(path))
    finally:
        os.kill(int(left_behind.read_text()), signal.SIGKILL)


def test_a_stopped_holder_does_not_prevent_writing(db: Database, path: str) -> None:
    with child(lambda: write_queue_of(path).enter(urgent=False)) as holder:
        os.kill(holder, signal.SIGSTOP)
        os.waitpid(holder, os.WUNTRACED)
        ids = [stored(db) for _ in range(20)]

    assert jobs.counts(db) == {"pending": len(ids)}


def test_a_process_that_waited_in_vain_does_not_wait_again_at_once(path: str) -> None:
    mine = WriteQueue(path)
    with child(lambda: write_queue_of(path).enter(urgent=False)):
        assert not mine.enter(urgent=True)

    assert not mine.enter(urgent=True)
    assert passed(WriteQueue(path))


def test_a_transaction_holds_it_until_its_commit(path: str, db: Database) -> None:
    stored(db)

    with db.transaction(durable=False), waiting(lambda: exit_as(passed(WriteQueue(path)))) as other:
        ended = os.waitid(os.P_PID, other, os.WEXITED | os.WNOWAIT)

    assert ended is not None
    assert ended.si_status == 1


def exit_as(answer: bool) -> None:
    os._exit(0 if answer else 1)


def test_a_transaction_leaves_it_whatever_its_end(path: str, db: Database) -> None:
    stored(db)
    with pytest.raises(RuntimeError), db.transaction(durable=False):
        raise RuntimeError("no")
    with waiting(lambda: exit_as(passed(WriteQueue(path)))) as other:
        ended = os.waitid(os.P_PID, other, os.WEXITED | os.WNOWAIT)

    assert ended is not None
    assert ended.si_status == 0


def test_threads_of_one_process_wait_for_each_other(path: str) -> None:
    mine = write_queue_of(path)
    assert mine.enter(urgent=False)
    held: list[bool] = []
    other = threading.Thread(target=lambda: held.append(passed(write_queue_of(path))))
    other.start()
    mine.leave()
    other.join()

    assert held == [True]


def test_without_a_folder_or_rights_there_is_no_queue_and_writing_goes_on(
    db: Database, address: str
) -> None:
    assert not passed(WriteQueue(address))

    (companion(address) / "write-queue").mkdir()

    assert not passed(WriteQueue(address))
    stored(db)
    assert jobs.counts(db) == {"pending": 1}


def test_a_file_that_was_deleted_is_made_again(path: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_REOPEN_EVERY", 0)
    mine = WriteQueue(path)
    assert passed(mine)
    (companion(path) / "write-queue").unlink()
    assert passed(mine)

    with child(lambda: WriteQueue(path).enter(urgent=False)):
        assert not passed(mine)
