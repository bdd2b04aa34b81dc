"""Nothing is settled, and nothing is started in its place, before its processes are gone."""

from __future__ import annotations

import os
import selectors
import subprocess
import sys
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest
from support.waiting import wait_until

from gigq.store.sqlite.processes.run_locks import RunLock
from gigqd.ipc.exit_record import ExitRecord
from gigqd.ipc.scoreboard import Scoreboard
from gigqd.process import orphan_cleanup
from gigqd.process.process_tag import VARIABLE, Tag, tag_of
from gigqd.supervisor.children import Children
from gigqd.supervisor.slots import Limits

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

NOT_USED: Any = None
HOME = f"test{os.getpid():08}"


class Tree:
    """A tree of which something is alive at a number of looks."""

    killed_at = 1.0
    denied = frozenset({7})

    def __init__(self, alive_for: int) -> None:
        self.alive_for = alive_for

    @property
    def done(self) -> bool:
        self.alive_for -= 1
        return self.alive_for < 0


def test_a_dead_worker_is_not_removed_before_its_whole_tree_is_gone(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    removed: list[float] = []
    children = Children(
        NOT_USED, ("home", "gigqd:1"), Scoreboard(1), selectors.DefaultSelector(), NOT_USED
    )
    slot = children.add("default/0", "default", Limits(30.0, 2.0, 120.0))
    child = SimpleNamespace(treekill=Tree(3), killed_at=0.0, exit_record=ExitRecord)
    monkeypatch.setattr(
        children, "_remove", lambda _slot, _child, _record, now: removed.append(now)
    )
    slot.begin_end(100.0, None)
    for step in range(5):
        children._continue_tree_kill(slot, child, 100.0 + step / 10)  # type: ignore[arg-type]

    assert removed == [100.3, 100.4]


@pytest.fixture
def tagged() -> Iterator[list[subprocess.Popen[bytes]]]:
    """Processes to come that carry tags; what is left of them is ended."""
    processes: list[subprocess.Popen[bytes]] = []
    yield processes
    for process in processes:
        process.kill()
        process.wait()


def with_tag(run: str) -> subprocess.Popen[bytes]:
    tag = Tag(HOME, run, "default/0", 1)
    waiting = [sys.executable, "-c", "import signal; signal.pause()"]
    process = subprocess.Popen(waiting, env={**os.environ, VARIABLE: str(tag)})
    wait_until(lambda: tag_of(process.pid) == tag)  # its environment can be read a moment later
    return process


def test_a_start_ends_what_dead_runs_left_and_nothing_of_a_living_one(
    tmp_path: Path, tagged: list[subprocess.Popen[bytes]]
) -> None:
    database = tmp_path / "queue.db"
    living, dead = RunLock(database, "gigqd"), RunLock(database, "gigqd")
    dead.release()
    tagged += [with_tag(living.run), with_tag(dead.run)]
    ended = orphan_cleanup.kill_orphans(database, HOME)

    assert ended == 1
    assert wait_until(lambda: tagged[1].poll() is not None)
    assert tagged[0].poll() is None
    living.release()
