from __future__ import annotations

import os
import select
import shutil
import signal
import subprocess
import sys
import threading
import time
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from support.waiting import wait_until

from gigq.model.served_queues import parse
from gigq.store.sqlite.file import private_files
from gigq.store.sqlite.processes import wakeup_groups
from gigq.store.sqlite.processes.run_locks import companion
from gigq.store.sqlite.processes.wakeup import Listener, OpenPipes, notify, notify_alike

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

LONG = 20.0
WAITER = """
import sys, time
from gigq.store.sqlite.processes.wakeup import Listener
listener = Listener(sys.argv[1], ["killed"])
print("waits", flush=True)
time.sleep(600)
"""
NOTIFIER = """
import sys
from gigq.store.sqlite.processes.wakeup import notify
notify(sys.argv[1], {'a': 1})
"""
JOB = {"a": 1}


@pytest.fixture
def database(tmp_path: Path) -> Path:
    return tmp_path / "queue.db"


@pytest.fixture
def listener(database: Path) -> Iterator[Listener]:
    listener = Listener(database)
    yield listener
    listener.close()


def test_a_wakeup_wakes_a_sleeper(database: Path, listener: Listener) -> None:
    woken: list[bool] = []
    thread = threading.Thread(target=lambda: woken.append(listener.wait(LONG)))
    thread.start()
    notify(database, JOB)
    thread.join(LONG)

    assert woken == [True]


def test_another_process_wakes_a_sleeper(database: Path, listener: Listener) -> None:
    subprocess.run([sys.executable, "-c", NOTIFIER, str(database)], check=True)

    assert listener.wait(LONG)


def test_one_wakeup_wakes_one_of_many(database: Path) -> None:
    listeners = [Listener(database) for _ in range(8)]
    woken: list[int] = []

    def sleep_on(number: int) -> None:
        while listeners[number].wait(LONG):
            woken.append(number)
            if woken.count(-1):
                return

    threads = [threading.Thread(target=sleep_on, args=(n,)) for n in range(8)]
    for thread in threads:
        thread.start()
    notify(database, JOB)
    wait_until(lambda: woken, why="one of them wakes")

    assert len(woken) == 1

    woken.append(-1)
    while any(thread.is_alive() for thread in threads):
        notify(database, JOB)
        time.sleep(0)
    for thread, listener in zip(threads, listeners, strict=True):
        thread.join()
        listener.close()


def test_a_sleeper_wakes_by_itself_without_a_wakeup(listener: Listener) -> None:
    assert not listener.wait(0.01)


def test_a_sleeper_wakes_for_other_descriptors_too(listener: Listener) -> None:
    reading, writing = os.pipe()
    os.write(writing, b"x")

    assert not listener.wait(LONG, [reading])
    assert os.read(reading, 1) == b"x"

    os.close(reading)
    os.close(writing)


def test_each_wakeup_is_one_byte_and_draining_takes_all(database: Path, listener: Listener) -> None:
    for _ in range(3):
        notify(database, JOB)

    assert listener.take()
    assert listener.drain()
    assert not listener.take()
    assert not listener.drain()


def test_notifying_through_a_full_pipe_neither_blocks_nor_raises(
    database: Path, listener: Listener
) -> None:
    with suppress(BlockingIOError):
        while os.write(listener.fileno(), bytes(4096)):
            pass
    notify(database, JOB)

    assert listener.wait(0)


def test_notifying_where_no_worker_waits_neither_blocks_nor_raises(database: Path) -> None:
    notify(database, JOB)
    listener = Listener(database)
    listener.close()
    notify(database, JOB)
    notify(database.parent / "nowhere" / "queue.db", JOB)


def test_a_pipe_without_writers_does_not_look_ready(listener: Listener) -> None:
    assert select.select([listener], [], [], 0)[0] == []


def test_closing_twice_closes_once(listener: Listener) -> None:
    listener.close()
    listener.close()

    assert listener.fileno() == -1


def test_a_pipe_that_was_deleted_is_made_again_before_the_next_sleep(
    database: Path, listener: Listener
) -> None:
    shutil.rmtree(companion(database))
    notify(database, JOB)

    assert not listener.wait(0)
    notify(database, JOB)
    assert listener.wait(LONG)


def test_those_who_wait_on_a_deleted_pipe_are_woken_by_a_process_that_has_it_open(
    database: Path, listener: Listener
) -> None:
    pipes = OpenPipes(database)
    pipes.renew()
    shutil.rmtree(companion(database))
    pipes.renew()

    assert listener.drain()
    listener.renew()
    notify(database, JOB)
    assert listener.wait(LONG)
    pipes.close()


def test_a_worker_without_a_pipe_looks_for_work_soon(database: Path, listener: Listener) -> None:
    folder = companion(database)
    shutil.rmtree(folder)
    folder.touch()
    waiting = threading.Thread(target=listener.wait, args=[3600.0], daemon=True)
    waiting.start()
    waiting.join(LONG)

    assert not waiting.is_alive()


def wakeups(listener: Listener) -> int:
    """How many wake-ups a listener finds."""
    return sum(1 for _ in iter(listener.take, False))


@pytest.fixture
def listeners(database: Path) -> Iterator[Callable[..., Listener]]:
    made: list[Listener] = []

    def make(*queues: str) -> Listener:
        made.append(Listener(database, queues or None))
        return made[-1]

    yield make
    for listener in made:
        listener.close()


def pipes(database: Path) -> list[Path]:
    return sorted(companion(database).glob("wakeup-*"))


def test_a_job_wakes_one_worker_of_each_group_that_serves_its_queue_and_no_other(
    database: Path, listeners: Callable[..., Listener]
) -> None:
    a, b, both, rest, every = (
        *(listeners("a"), listeners("b"), listeners("b", "a")),
        *(listeners("*", "!a"), listeners("*")),
    )
    notify(database, {"a": 1})

    assert [wakeups(one) for one in (a, b, both, rest, every)] == [1, 0, 1, 0, 1]
    notify(database, {"b": 2, "c": 1})
    assert [wakeups(one) for one in (a, b, both, rest, every)] == [0, 2, 2, 3, 3]
    notify(database, {"a": 1000})
    assert [wakeups(one) for one in (a, b, both, rest, every)] == [16, 0, 16, 0, 16]
    notify(database, {})
    assert [wakeups(one) for one in (a, b, both, rest, every)] == [0] * 5


def test_equal_lists_in_another_order_are_one_group(
    database: Path, listeners: Callable[..., Listener]
) -> None:
    one, other = listeners("a", "b"), listeners("b", "a")
    notify(database, {"a": 1})

    assert len(pipes(database)) == 2
    assert one.take()
    assert not other.take()


def test_a_worker_wakes_another_one_of_its_own_group_only(
    database: Path, listeners: Callable[..., Listener]
) -> None:
    own, other = listeners("a", "b"), listeners("a")
    notify_alike(database, ("b", "a"))

    assert (wakeups(own), wakeups(other)) == (1, 0)


@pytest.mark.parametrize(
    "name",
    ["ü" * 255, "\U0001f980" * 255, "../../etc/passwd", "a/b", "a\nb", "\x1b[2J", "\udc80", "."],
)
def test_any_name_of_a_queue_has_a_group(
    database: Path, listeners: Callable[..., Listener], name: str
) -> None:
    own, rest = listeners(name), listeners("*", f"!{name}")
    notify(database, {name: 1})

    assert (wakeups(own), wakeups(rest)) == (1, 0)
    assert {path.parent for path in pipes(database)} == {companion(database)}


def test_a_list_of_thousands_of_long_names_has_a_group(
    database: Path, listeners: Callable[..., Listener]
) -> None:
    names = [f"{n:04}" + "ü" * 251 for n in range(2000)]
    own = listeners(*names)
    notify(database, {names[-1]: 1, "other": 1})

    assert wakeups(own) == 1


def test_a_group_that_comes_after_a_look_at_the_folder_is_woken(
    database: Path, listeners: Callable[..., Listener]
) -> None:
    listeners("first")
    for number in range(50):
        notify(database, {"a": 1})
        late = Listener(database, ["a"])
        notify(database, {"a": 1})

        assert wakeups(late) == 1, f"round {number}"
        late.close()


def test_a_known_folder_is_not_listed_again_until_it_changes(
    database: Path, listeners: Callable[..., Listener], monkeypatch: pytest.MonkeyPatch
) -> None:
    listeners("a")
    folder = companion(database)
    os.utime(folder, (1, 1))
    first = wakeup_groups.groups_in(os.fspath(folder))
    monkeypatch.setattr(os, "scandir", None)

    assert wakeup_groups.groups_in(os.fspath(folder)) is first
    monkeypatch.undo()
    listeners("b")
    assert len(wakeup_groups.groups_in(os.fspath(folder))) == 2


@pytest.mark.parametrize(
    ("ago", "is_whole", "certain"),
    [(1.0, True, False), (4.0, True, True), (0.0, False, False), (1.0, False, True)],
)
def test_a_folder_that_has_just_changed_is_listed_every_time(
    database: Path,
    listeners: Callable[..., Listener],
    ago: float,
    is_whole: bool,
    certain: bool,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """It may change again without another time, on some file systems for a whole second."""
    listeners("a")
    folder = os.fspath(companion(database))
    changed = 1_700_000_000 * 10**9 + (not is_whole) * 5 * 10**6
    os.utime(folder, ns=(changed, changed))
    monkeypatch.setattr(time, "time_ns", lambda: changed + int(ago * 1e9))
    first = wakeup_groups.groups_in(folder)

    assert (wakeup_groups.groups_in(folder) is first) is certain


def test_the_last_worker_of_a_group_removes_its_pipe(database: Path) -> None:
    first, second = Listener(database, ["a"]), Listener(database, ["a"])
    first.close()
    notify(database, JOB)

    assert second.take()
    second.close()
    assert pipes(database) == []


def test_the_pipe_of_a_killed_worker_is_removed_by_the_next_one(
    database: Path, listeners: Callable[..., Listener]
) -> None:
    command = [sys.executable, "-c", WAITER, str(database)]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as waiter:
        assert waiter.stdout is not None
        waiter.stdout.readline()
        listeners("a")
        assert len(pipes(database)) == 4
        waiter.send_signal(signal.SIGKILL)
    listeners("b")

    assert len(pipes(database)) == 4
    notify(database, {"killed": 1})


def test_workers_that_come_and_go_at_once_are_all_woken(database: Path) -> None:
    """One that closes removes the pipe only if no other has just opened it."""
    missed: list[int] = []

    def come_and_go(number: int) -> None:
        for _ in range(50):
            listener = Listener(database, ["a"])
            if not private_files.is_at(listener._path, listener.fileno()):
                missed.append(number)
            listener.close()

    threads = [threading.Thread(target=come_and_go, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert missed == []
    assert pipes(database) == []


@pytest.mark.parametrize("kind", ["directory", "file", "link"])
def test_another_file_in_the_place_of_a_pipe_is_left_alone(
    database: Path, tmp_path: Path, kind: str
) -> None:
    path = Path(wakeup_groups.pipe_of(os.fspath(companion(database)), parse(["a"])))
    other = tmp_path / "other"
    other.write_bytes(b"kept")
    if kind == "directory":
        path.mkdir()
    elif kind == "file":
        path.write_bytes(b"kept")
    else:
        path.symlink_to(other)
    listener = Listener(database, ["a"])
    notify(database, JOB)

    assert not listener.wait(0)
    assert not listener.drain()
    listener.close()
    assert path.is_dir() or path.read_bytes() == b"kept"


@pytest.mark.parametrize("text", [b"", b"{", b'["!a"]', b"7", b"[[]]", b"\xff", b"[" * 100_000])
def test_a_group_whose_list_cannot_be_read_is_woken_for_every_queue(
    database: Path, listeners: Callable[..., Listener], text: bytes
) -> None:
    listener = listeners("a")
    next(path for path in pipes(database) if path.suffix == ".json").write_bytes(text)
    os.utime(companion(database))
    notify(database, {"b": 1})

    assert wakeups(listener) == 1


def test_a_worker_that_finds_no_pipe_and_may_make_none_waits_all_the_same(
    database: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_path: object, **_mode: object) -> None:
        raise PermissionError("read-only")

    monkeypatch.setattr(os, "mkfifo", refuse)
    listener = Listener(database, ["a"])
    reading, writing = os.pipe()
    os.write(writing, b"x")

    assert listener.fileno() == -1
    assert not listener.wait(LONG, [reading])
    monkeypatch.undo()
    listener.renew()
    notify(database, JOB)
    assert listener.take()
    listener.close()
    os.close(reading)
    os.close(writing)


def test_the_files_of_a_group_are_private(
    database: Path, listeners: Callable[..., Listener]
) -> None:
    listeners("a")

    assert [path.stat().st_mode & 0o777 for path in pipes(database)] == [0o600, 0o600]
