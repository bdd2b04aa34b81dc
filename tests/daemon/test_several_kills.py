"""Many trees are killed at once: one scan serves all, and none of their processes gets away."""

from __future__ import annotations

import os
import resource
import signal
from typing import TYPE_CHECKING

import pytest
from support import forking, jobs
from support.orphans import forked, orphans_adopted
from support.waiting import wait_until

from gigqd.linux import syscalls
from gigqd.process import reap
from gigqd.process.concurrent_kills import ConcurrentKills
from gigqd.process.kill_tree import TreeKill
from gigqd.process.process_tag import VARIABLE, ProcessTags, Tag, tag_this_process, tags_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

MANY = 12
RLIMIT_LOCKS = 10  # it carries the stamp; Python has no name for it


@pytest.fixture(autouse=True)
def _adopt_orphans() -> Iterator[None]:
    with orphans_adopted():
        yield


def tag_of(number: int) -> Tag:
    return Tag("home", f"gigqd:{os.getpid()}", f"default/{number}", number)


def worker(number: int, body: Callable[[], object]) -> int:
    """Fork a process that is marked and in a session of its own, as a worker is."""
    tag = tag_of(number)
    pid = os.fork()
    if pid == 0:
        try:
            os.setsid()
            tag_this_process(tag)
            body()
            signal.pause()
        finally:
            os._exit(0)
    return pid


def is_gone(pid: int) -> bool:
    try:
        return not syscalls.read_process(pid).alive
    except ProcessLookupError:
        return True


class Children:
    """The kills as the supervisor has them: a turn, then the adopted dead are collected."""

    def __init__(self, workers: dict[int, int]) -> None:
        self.workers = workers
        self.kills = ConcurrentKills()
        self.treekills: dict[int, TreeKill] = {}

    def begin(self, *pids: int) -> None:
        for pid in pids:
            tag = tag_of(self.workers[pid])
            self.treekills[pid] = TreeKill(pid, tag.matches)
            self.kills.add(pid, self.treekills[pid], tag)

    def step(self) -> bool:
        self.kills.step(self.workers)
        reap.reap_adopted(syscalls.own_children(), set(self.workers))
        return all(one.done for one in self.treekills.values())

    def end(self) -> None:
        while not self.step():
            pass

    def reap(self) -> None:
        for pid in self.workers:
            reap.reap(pid)


def children_of(*bodies: Callable[[], object]) -> Children:
    return Children({worker(number, body): number for number, body in enumerate(bodies, start=1)})


def sleeping_child() -> None:
    if os.fork() == 0:
        signal.pause()


def test_one_scan_of_the_children_serves_every_kill(monkeypatch: pytest.MonkeyPatch) -> None:
    children = children_of(*[sleeping_child] * MANY)
    wait_until(lambda: all(syscalls.children_of(pid) for pid in children.workers))
    reads: list[int] = []
    look_at = syscalls.read_process
    monkeypatch.setattr(syscalls, "read_process", lambda pid: reads.append(pid) or look_at(pid))
    children.begin(*children.workers)
    scan = children.kills._scan_for(dict(children.kills._kills))
    before_the_end = []
    for _ in scan:
        before_the_end = list(reads)

    # Each process is looked at once to be found and once when it is stopped or killed.
    assert max(before_the_end.count(pid) for pid in children.workers) <= 3
    children.end()
    children.reap()


@pytest.mark.fault("C21")
def test_every_tree_is_gone_and_a_worker_that_is_not_killed_lives() -> None:
    children = children_of(*[sleeping_child] * MANY)
    wait_until(lambda: all(syscalls.children_of(pid) for pid in children.workers))
    below = {pid: syscalls.children_of(pid) for pid in children.workers}
    spared, *killed = children.workers

    children.begin(*killed)
    children.end()

    assert all(is_gone(pid) for root in killed for pid in (root, *below[root]))
    assert [children.treekills[pid].killed for pid in killed] == [2] * len(killed)
    assert not is_gone(spared)
    assert not is_gone(*below[spared])
    children.begin(spared)
    children.end()
    children.reap()


@pytest.mark.fault("C5")
def test_children_that_have_left_are_found_for_each_of_the_kills(tmp_path) -> None:
    ledgers = [str(tmp_path / f"ledger{number}") for number in range(3)]
    children = children_of(
        *(lambda path=path: jobs.spawn_children(path, "job") for path in ledgers)
    )
    wait_until(lambda: all(len(jobs.child_pids(path)) == 6 for path in ledgers))

    children.begin(*children.workers)
    children.end()

    assert [pid for path in ledgers for pid in jobs.child_pids(path) if not is_gone(pid)] == []
    children.reap()


@pytest.mark.fault("C5")
def test_chains_that_fork_a_child_and_end_are_caught_while_others_are_killed(tmp_path) -> None:
    ledger, before = str(tmp_path / "ledger"), syscalls.own_children()
    chains = {"chains": 3, "setsid": True}
    children = children_of(
        lambda: forking.hop(ledger, "hops", **chains), sleeping_child, signal.pause
    )
    wait_until(lambda: jobs.entries(ledger, "child"))
    own = {*children.workers, *before}

    children.begin(*children.workers)
    children.end()

    assert [pid for pid in syscalls.own_children() if pid not in own and not is_gone(pid)] == []
    children.reap()


@pytest.mark.fault("C21")
@pytest.mark.fault("C5")
def test_a_tree_that_doubles_is_ended_whole_while_others_are_killed(tmp_path) -> None:
    ledger, before = str(tmp_path / "ledger"), syscalls.own_children()
    children = children_of(lambda: forking.multiply(ledger, "bomb", 200), sleeping_child)
    wait_until(lambda: jobs.entries(ledger, "child"))
    own = {*children.workers, *before}

    children.begin(*children.workers)
    children.end()

    assert [pid for pid in syscalls.own_children() if pid not in own and not is_gone(pid)] == []
    children.reap()


def test_a_kill_that_begins_during_a_scan_waits_for_the_next_one() -> None:
    children = children_of(sleeping_child, sleeping_child)
    wait_until(lambda: all(syscalls.children_of(pid) for pid in children.workers))
    first, second = children.workers
    children.begin(first)
    children.kills._scan = children.kills._scan_for(dict(children.kills._kills))
    next(children.kills._scan)

    children.begin(second)
    children.end()

    assert [children.treekills[pid].killed for pid in children.workers] == [2, 2]
    children.reap()


def test_what_a_tree_used_when_its_kill_began_is_known() -> None:
    children = children_of(sleeping_child)
    (root,) = children.workers
    wait_until(lambda: syscalls.children_of(root))
    memory = syscalls.read_process(root).memory

    children.begin(root)
    children.end()

    assert children.treekills[root].used[0] >= memory
    children.reap()


def test_nothing_is_remembered_of_kills_that_are_over() -> None:
    children = children_of(sleeping_child)
    (root,) = children.workers
    wait_until(lambda: syscalls.children_of(root))
    children.begin(root)
    children.end()

    children.kills.remove(root)

    assert children.kills._kills == {}
    assert children.kills._met == {}
    children.reap()


# --- whose a process is --------------------------------------------------------------------------


def put_down_marks() -> None:
    os.setsid()
    assert syscalls.rewrite_environment_block(b"")
    resource.setrlimit(RLIMIT_LOCKS, (1, 1))


def is_apart(pid: int, children: Children) -> bool:
    return pid not in children.workers and syscalls.read_process(pid).session == pid


def test_a_worker_whose_stamp_equals_that_of_a_killed_one_lives() -> None:
    number = 1 + 2**15  # generations are counted modulo this in a stamp
    children = Children({worker(each, sleeping_child): each for each in (1, number)})
    killed, spared = children.workers
    wait_until(lambda: all(syscalls.children_of(pid) for pid in children.workers))
    assert tag_of(1).rlimit_tag == tag_of(number).rlimit_tag

    children.begin(killed)
    children.end()

    assert is_gone(killed)
    assert not is_gone(spared)
    children.begin(spared)
    children.end()
    children.reap()


@pytest.mark.fault("C5")
def test_a_process_without_marks_stays_in_the_tree_after_the_death_of_its_parent() -> None:
    reading, writing = os.pipe()

    def unmarked() -> None:
        put_down_marks()
        os.read(reading, 1)
        forked(lambda: None)

    children = children_of(lambda: forked(lambda: forked(unmarked)))
    (root,) = children.workers
    parent = wait_until(lambda: syscalls.children_of(root))[0]
    orphan = wait_until(lambda: syscalls.children_of(parent))[0]
    wait_until(lambda: syscalls.read_process(orphan).session == orphan)
    wait_until(lambda: tags_of(orphan) == ProcessTags(None, None))
    children.begin(root)
    while syscalls.read_process(orphan).identity not in children.treekills[root].met:
        children.step()

    # As another program may: one scan has seen it, and it goes on and forks.
    os.kill(parent, signal.SIGKILL)
    wait_until(lambda: syscalls.read_process(orphan).parent == os.getpid())
    os.write(writing, b"x")
    os.kill(orphan, signal.SIGCONT)
    successor = wait_until(lambda: syscalls.children_of(orphan))[0]
    children.end()

    assert is_gone(orphan)
    assert is_gone(successor)
    children.reap()
    os.close(reading)
    os.close(writing)


def test_a_mark_that_could_not_be_read_in_one_kill_is_read_again_in_the_next() -> None:
    tag = tag_of(2)
    of_other_tests = set(syscalls.own_children())
    reading, writing = os.pipe()

    def unreadable_at_first() -> None:
        put_down_marks()
        os.read(reading, 1)
        assert syscalls.rewrite_environment_block(f"{VARIABLE}={tag}".encode())

    children = children_of(signal.pause, lambda: os._exit(0 if forked(unreadable_at_first) else 1))
    first, second = children.workers
    wait_until(lambda: not syscalls.read_process(second).alive)
    (orphan,) = wait_until(
        lambda: [
            pid for pid in {*syscalls.own_children()} - of_other_tests if is_apart(pid, children)
        ]
    )
    wait_until(lambda: tags_of(orphan) == ProcessTags(None, None))
    children.begin(first)
    children.end()
    before = is_gone(orphan)

    os.write(writing, b"x")
    wait_until(lambda: tags_of(orphan).tag == tag)
    children.begin(second)
    children.end()

    assert not before
    assert is_gone(orphan)
    children.reap()
    os.close(reading)
    os.close(writing)
