from __future__ import annotations

import os
import shutil
import signal
import stat
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from gigq.store.sqlite.processes import run_locks
from gigq.store.sqlite.processes.run_locks import RunLock, companion, is_alive

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

HOLDER = """
import sys
from gigq.store.sqlite.processes.run_locks import RunLock
print(RunLock(sys.argv[1], "worker").run, flush=True)
sys.stdin.read()
"""
PROBE = """
import sys
from gigq.store.sqlite.processes.run_locks import is_alive
sys.exit(0 if is_alive(sys.argv[1], sys.argv[2]) else 1)
"""


@pytest.fixture
def database(tmp_path: Path) -> Path:
    return tmp_path / "queue.db"


@pytest.fixture
def holder(database: Path) -> Iterator[subprocess.Popen[str]]:
    """Another process that holds a run, and says its name on its first line."""
    process = subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(database)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    with process:
        yield process
        process.kill()


def name_of(holder: subprocess.Popen[str]) -> str:
    assert holder.stdout is not None
    return holder.stdout.readline().strip()


def lock_alone(run: str) -> str:
    """Return a run without its process: other processes judge it by its lock."""
    return ":".join(run.split(":")[:2])


def others_see(database: Path, run: str) -> bool:
    """Whether another process takes the run for alive."""
    return subprocess.run([sys.executable, "-c", PROBE, str(database), run]).returncode == 0


def test_a_held_run_is_alive_for_its_process_and_for_others(database: Path) -> None:
    lock = RunLock(database, "worker")

    assert lock.run.startswith("worker:")
    assert is_alive(database, lock.run)
    assert others_see(database, lock.run)


def test_asking_about_ones_own_run_does_not_end_it(database: Path) -> None:
    lock = RunLock(database, "worker")
    for _ in range(3):
        assert is_alive(database, lock.run)

    assert others_see(database, lock.run)


def test_a_released_run_is_over(database: Path) -> None:
    lock = RunLock(database, "worker")
    lock.release()
    lock.release()

    assert not is_alive(database, lock.run)
    assert not others_see(database, lock_alone(lock.run))


def test_releasing_one_run_leaves_the_others_of_the_process(database: Path) -> None:
    first, second = RunLock(database, "worker"), RunLock(database, "gigqd")
    first.release()

    assert not others_see(database, lock_alone(first.run))
    assert others_see(database, lock_alone(second.run))


def test_a_run_outlives_its_locks_when_its_process_closes_another_descriptor_of_the_file(
    database: Path,
) -> None:
    lock = RunLock(database, "worker")
    (companion(database) / "locks").read_bytes()

    assert not others_see(database, lock_alone(lock.run))
    assert others_see(database, lock.run)

    run_locks.retake()

    assert others_see(database, lock_alone(lock.run))


def test_kill_9_ends_a_run(database: Path, holder: subprocess.Popen[str]) -> None:
    run = name_of(holder)

    assert is_alive(database, run)

    holder.send_signal(signal.SIGKILL)
    holder.wait()

    assert not is_alive(database, run)


def test_a_stopped_process_is_still_alive(database: Path, holder: subprocess.Popen[str]) -> None:
    run = name_of(holder)
    holder.send_signal(signal.SIGSTOP)

    assert is_alive(database, run)


def test_asking_about_others_does_not_end_ones_own(
    database: Path, holder: subprocess.Popen[str]
) -> None:
    lock = RunLock(database, "worker")

    assert is_alive(database, name_of(holder))
    assert not is_alive(database, "worker:1")
    assert others_see(database, lock.run)


def test_a_forked_child_neither_inherits_nor_ends_a_run(database: Path) -> None:
    lock = RunLock(database, "worker")
    child = os.fork()
    if child == 0:
        lock.release()
        alive_for_child = is_alive(database, lock.run)
        own = RunLock(database, "worker")
        os._exit(0 if alive_for_child and is_alive(database, own.run) else 1)

    assert os.waitpid(child, 0)[1] == 0
    assert others_see(database, lock.run)


def test_a_run_ends_with_its_process_though_a_child_of_it_lives_on(database: Path) -> None:
    from_child, to_child = os.pipe(), os.pipe()
    parent = os.fork()
    if parent == 0:
        run = RunLock(database, "worker").run
        if os.fork() == 0:
            os.write(from_child[1], run.encode())
            os.read(to_child[0], 1)
            os.write(from_child[1], b"alive" if is_alive(database, run) else b"dead")
        os._exit(0)
    run = os.read(from_child[0], 100).decode()
    os.waitpid(parent, 0)

    assert not is_alive(database, run)

    os.write(to_child[1], b"x")

    assert os.read(from_child[0], 100) == b"dead"
    for end in (*from_child, *to_child):
        os.close(end)


def test_a_child_that_closed_everything_it_inherited_can_hold_a_run(database: Path) -> None:
    RunLock(database, "gigqd")
    child = os.fork()
    if child == 0:
        os.closerange(3, 256)
        own = RunLock(database, "worker")
        os._exit(0 if others_see(database, own.run) else 1)

    assert os.waitpid(child, 0)[1] == 0


@pytest.mark.parametrize("run", [None, "", "worker:", "worker:x", "worker:-1", f"worker:{2**63}"])
def test_what_is_no_run_is_not_alive(database: Path, run: str | None) -> None:
    assert not is_alive(database, run)


def test_the_companion_folder_is_private_and_shared_by_the_names_of_a_file(
    database: Path, tmp_path: Path
) -> None:
    (tmp_path / "link.db").symlink_to(database)
    folder = companion(tmp_path / "link.db")

    assert folder == companion(database) == tmp_path / "queue.db.gigq"
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700


def test_a_run_outlives_the_deletion_of_the_lock_file(
    database: Path, holder: subprocess.Popen[str]
) -> None:
    run = name_of(holder)
    shutil.rmtree(companion(database))

    assert is_alive(database, run)
    assert others_see(database, run)

    holder.kill()
    holder.wait()

    assert not is_alive(database, run)
    assert not others_see(database, run)


def test_a_dead_process_that_nobody_has_waited_for_holds_nothing(
    database: Path, holder: subprocess.Popen[str]
) -> None:
    run = name_of(holder)
    shutil.rmtree(companion(database))
    holder.kill()
    os.waitid(os.P_PID, holder.pid, os.WEXITED | os.WNOWAIT)

    assert not is_alive(database, run)


def test_a_process_id_that_was_reused_is_not_the_holder(
    database: Path, holder: subprocess.Popen[str]
) -> None:
    *run, started = name_of(holder).split(":")
    shutil.rmtree(companion(database))

    assert not is_alive(database, ":".join([*run, str(int(started) + 1)]))


def test_what_is_held_is_put_on_the_next_lock_file(database: Path) -> None:
    lock = RunLock(database, "gigqd")
    assert run_locks.hold(database, 1 << 62)
    shutil.rmtree(companion(database))

    assert run_locks.renew()
    assert not run_locks.renew()
    assert others_see(database, lock_alone(lock.run))
    lock.release()
    assert not others_see(database, lock_alone(lock.run))


def in_another_container(run: str) -> str:
    """Return a run as a process has it whose number means nothing here."""
    kind, offset, word, boot, namespace, *process = run.split(":")
    return ":".join([kind, offset, word, boot, f"{namespace}0", *process])


@pytest.mark.parametrize("put_back", [False, True])
def test_a_run_of_another_container_has_time_to_lock_its_byte_in_a_new_file(
    database: Path,
    holder: subprocess.Popen[str],
    put_back: bool,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    run = in_another_container(name_of(holder))
    folder, copy = companion(database), database.with_name("copy")
    if put_back:
        os.utime(folder / "locks", (1, 1))
        shutil.copytree(folder, copy)
    shutil.rmtree(folder)
    if put_back:
        copy.rename(folder)
    at_first = is_alive(database, run), others_see(database, run)
    monkeypatch.setattr(run_locks, "_LOCKED_AGAIN_WITHIN", 0.0)

    assert at_first == (True, True)
    assert not is_alive(database, run)


def test_a_run_of_another_boot_is_dead_at_once(
    database: Path, holder: subprocess.Popen[str]
) -> None:
    run = name_of(holder)
    kind, offset, word, boot, *process = in_another_container(run).split(":")
    shutil.rmtree(companion(database))

    assert not is_alive(database, ":".join([kind, offset, word, f"{boot}x", *process]))


def test_a_run_in_the_words_of_before_is_judged_by_its_lock(
    database: Path, holder: subprocess.Popen[str]
) -> None:
    run = ":".join(name_of(holder).split(":")[:2])

    assert is_alive(database, run)

    holder.kill()
    holder.wait()

    assert not is_alive(database, run)
