"""One look at all that runs below the supervisor, sorted by worker."""

from __future__ import annotations

import mmap
import os
import signal
from typing import TYPE_CHECKING

import psutil
import pytest
from support.orphans import forked, orphans_adopted
from support.waiting import wait_until

from gigqd.process import process_table, reap
from gigqd.process.process_table import ProcessTable, cpu_of, memory_of, proportional_memory
from gigqd.process.process_tag import ProcessTags, Tag, tag_this_process

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

MIB = 1024 * 1024


@pytest.fixture(autouse=True)
def _adopt_and_clean_up() -> Iterator[None]:
    with orphans_adopted():
        yield


@pytest.fixture
def tag() -> Tag:
    return Tag("home", f"gigqd:{os.getpid()}", "default/0", 1)


def worker(tag: Tag, body: Callable[[], object] = lambda: None) -> int:
    """A child in a session of its own that carries a tag and does something."""

    def live() -> None:
        os.setsid()
        tag_this_process(tag)
        body()

    return forked(live)


def daemonized() -> None:
    """Start a process that has left the session and its parents."""

    def leave() -> None:
        os.setsid()
        forked(lambda: None)
        os._exit(0)

    os.waitpid(forked(leave), 0)


def taken(*workers: tuple[int, Tag]) -> ProcessTable:
    look = ProcessTable()
    look.take(dict(workers))
    return look


def size(pid: int, tag: Tag) -> int:
    return len(taken((pid, tag)).tree_of(pid))


def test_a_tree_is_the_worker_and_all_below_it(tag: Tag) -> None:
    pid = worker(tag, lambda: forked(lambda: forked(lambda: None)))
    wait_until(lambda: size(pid, tag) == 3)

    tree = taken((pid, tag)).tree_of(pid)

    assert tree[0].pid == pid
    assert tree[1].parent == pid
    assert tree[2].parent == tree[1].pid


def test_an_adopted_orphan_belongs_to_the_worker_whose_mark_it_carries(tag: Tag) -> None:
    other = Tag(tag.home, tag.run, "default/1", 2)
    first, second = worker(tag, daemonized), worker(other)

    def is_adopted() -> bool:
        tree = taken((first, tag)).tree_of(first)
        return len(tree) == 2 and tree[1].parent == os.getpid()

    wait_until(is_adopted)  # the one in between may live for a moment longer
    look = taken((first, tag), (second, other))

    assert look.tree_of(first)[1].parent == os.getpid()
    assert [process.pid for process in look.tree_of(second)] == [second]
    assert look.tree_of(first)[1] not in look.unidentified()


def test_an_adopted_orphan_without_a_mark_is_reported_once(tag: Tag) -> None:
    other = forked(lambda: None)
    look = ProcessTable()

    look.take({})
    look.take({})
    found = look.unidentified()
    look.take({})

    assert [process.pid for process in found].count(other) == 1
    assert look.unidentified() == ()


def test_the_mark_of_an_adopted_process_is_looked_for_once(
    tag: Tag, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[int] = []
    monkeypatch.setattr(
        process_table, "tags_of", lambda pid: asked.append(pid) or ProcessTags(None, None)
    )
    other, pid = forked(lambda: None), worker(tag)
    look = ProcessTable()

    for _ in range(3):
        look.take({pid: tag})

    assert asked.count(other) == 1
    assert pid not in asked


def test_memory_and_time_are_those_of_the_whole_tree(tag: Tag) -> None:
    def use() -> None:
        forked(lambda: (bytearray(b"x" * 50 * MIB), spin()))
        bytearray(b"x" * 50 * MIB)

    pid = worker(tag, use)

    wait_until(lambda: memory_of(taken((pid, tag)).tree_of(pid)) > 50 * MIB)
    wait_until(lambda: cpu_of(taken((pid, tag)).tree_of(pid)) > 0.1)


def spin() -> None:
    while True:
        sum(range(1000))


def test_memory_that_processes_share_is_counted_once_when_a_kill_depends_on_it(tag: Tag) -> None:
    shared = mmap.mmap(-1, 40 * MIB)
    shared.write(b"x" * 40 * MIB)

    def share() -> None:
        for _ in range(3):
            forked(lambda: shared[::4096])

    def do_not() -> None:
        for _ in range(3):
            forked(lambda: None)

    # Beside the same family without it: what the test runner itself takes is in both.
    other = Tag(tag.home, tag.run, "default/1", 2)
    without, pid = worker(other, do_not), worker(tag, share)
    wait_until(lambda: size(without, other) == 4)
    plain = proportional_memory(taken((without, other)).tree_of(without))
    wait_until(lambda: memory_of(taken((pid, tag)).tree_of(pid)) > 120 * MIB)
    tree = taken((pid, tag)).tree_of(pid)

    assert proportional_memory(tree) - plain < 60 * MIB


def test_a_process_that_may_not_be_looked_into_counts_with_all_it_has(
    tag: Tag, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(process: psutil.Process) -> None:
        raise psutil.AccessDenied(process.pid)

    monkeypatch.setattr(psutil.Process, "memory_full_info", refuse)
    pid = worker(tag)
    tree = taken((pid, tag)).tree_of(pid)

    assert proportional_memory(tree) == memory_of(tree) > 0


def test_a_tree_that_is_gone_has_no_memory(tag: Tag) -> None:
    pid = worker(tag)
    tree = taken((pid, tag)).tree_of(pid)
    os.kill(pid, signal.SIGKILL)
    wait_until(lambda: reap.exit_record_of(pid))
    reap.reap(pid)

    assert proportional_memory(tree) == 0
    assert taken((pid, tag)).tree_of(pid) == ()


def test_a_stopped_worker_is_seen_to_be(tag: Tag) -> None:
    pid = worker(tag)
    assert not taken((pid, tag)).is_stopped(pid)

    os.kill(pid, signal.SIGSTOP)

    wait_until(lambda: taken((pid, tag)).is_stopped(pid))
