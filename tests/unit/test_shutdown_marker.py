"""A start looks through the processes of the host only where a dead run may have left some."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest
from support.waiting import wait_until

from gigq.store.sqlite.file import private_files
from gigqd.linux import syscalls
from gigqd.process import orphan_cleanup
from gigqd.process.process_tag import VARIABLE, Tag, home_of, tag_of
from gigqd.supervisor.startup import DaemonRun

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture
def walks(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """One entry for each list that was made of all processes of the host."""
    seen: list[int] = []
    list_all = syscalls.all_pids
    monkeypatch.setattr(syscalls, "all_pids", lambda: seen.append(1) or list_all())
    return seen


@pytest.fixture
def database(tmp_path: Path) -> str:
    return str(tmp_path / "queue.db")


@pytest.fixture
def left() -> Iterator[list[subprocess.Popen[bytes]]]:
    processes: list[subprocess.Popen[bytes]] = []
    yield processes
    for process in processes:
        process.kill()
        process.wait()


def begun(database: str) -> DaemonRun:
    file = Path(database)
    config: Any = SimpleNamespace(place=file, database_file=file)
    run = DaemonRun(config)
    run.begin()
    Path(database).touch()
    return run


def test_the_first_start_of_a_queue_looks_at_no_process(database, walks) -> None:
    begun(database).end(orderly=True)

    assert walks == []


def test_a_start_looks_after_a_run_whose_file_could_not_be_made(
    database, walks, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun(database).end(orderly=True)

    def refuse(_path: Path, _content: bytes) -> None:
        raise OSError

    with monkeypatch.context() as patched:
        patched.setattr(private_files, "write", refuse)
        begun(database)  # and killed
    begun(database)

    assert walks


def test_a_start_after_an_end_in_order_looks_at_no_process(database, walks) -> None:
    begun(database).end(orderly=True)
    begun(database).end(orderly=True)

    assert walks == []


@pytest.mark.fault("E5")
def test_a_start_after_a_death_ends_what_the_dead_run_left(database, left) -> None:
    dead = begun(database)
    tag = Tag(home_of(database), dead.run, "default/0", 1)
    waiting = [sys.executable, "-c", "import signal; signal.pause()"]
    left.append(subprocess.Popen(waiting, env={**os.environ, VARIABLE: str(tag)}))
    wait_until(lambda: tag_of(left[0].pid) == tag)  # its environment can be read a moment later
    dead.end(orderly=False)

    begun(database).end(orderly=True)

    assert left[0].wait(10) < 0


def test_a_start_after_a_death_looks_and_the_one_after_that_does_not(database, walks) -> None:
    begun(database).end(orderly=False)
    begun(database).end(orderly=True)
    after_the_death = len(walks)
    begun(database).end(orderly=True)

    assert after_the_death > 0
    assert len(walks) == after_the_death


def test_a_death_is_not_forgotten_because_another_daemon_ends_in_order(database, walks) -> None:
    dead, other = begun(database), begun(database)
    dead.end(orderly=False)
    other.end(orderly=True)

    begun(database).end(orderly=True)

    assert walks


def test_a_living_daemon_of_the_database_is_no_reason_to_look(database, walks) -> None:
    begun(database).end(orderly=True)
    living = begun(database)
    begun(database).end(orderly=True)

    assert walks == []
    living.end(orderly=True)


def test_a_folder_that_was_deleted_says_nothing_and_a_start_looks(database, walks) -> None:
    begun(database).end(orderly=True)
    shutil.rmtree(f"{database}.gigq")

    begun(database).end(orderly=True)

    assert walks


def test_a_look_that_finds_nothing_is_made_once(database, walks, monkeypatch) -> None:
    pids = [os.getpid(), os.getppid()]  # both stay for the time of the look
    monkeypatch.setattr(syscalls, "all_pids", lambda: walks.append(1) or pids)

    killed = orphan_cleanup.kill_orphans(Path(database), home_of(database))

    assert killed == 0
    assert len(walks) == 1


def test_a_process_that_ends_during_a_look_is_a_reason_for_another_one(
    database, walks, monkeypatch
) -> None:
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    lists = iter([[os.getpid(), ended.pid], [os.getpid()]])
    monkeypatch.setattr(syscalls, "all_pids", lambda: walks.append(1) or next(lists))

    orphan_cleanup.kill_orphans(Path(database), home_of(database))

    assert len(walks) == 2
