"""Ending a process tree: every way in which a job's children try to get away."""

from __future__ import annotations

import errno
import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import psutil
import pytest
import structlog.testing
from support import jobs
from support.orphans import orphans_adopted
from support.waiting import wait_until

from gigqd.ipc.exit_record import ExitRecord
from gigqd.linux import syscalls
from gigqd.process import kill_tree as treekill_module
from gigqd.process import reap, safe_signal
from gigqd.process.kill_tree import TreeKill
from gigqd.process.process_tag import Tag, tag_of, tag_this_process, tags_of
from gigqd.process.safe_signal import Sent

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

WAYS = [f"{how}-{by}" for how in ("plain", "setsid", "double") for by in ("fork", "exec")]


@pytest.fixture(autouse=True)
def _adopt_orphans() -> Iterator[None]:
    with orphans_adopted():
        yield


@pytest.fixture
def tag() -> Tag:
    return Tag("home", f"gigqd:{os.getpid()}", "default/0", 1)


def is_gone(pid: int) -> bool:
    try:
        return not syscalls.read_process(pid).alive
    except ProcessLookupError:
        return True


def worker_running(function: object, tag: Tag, *args: object) -> int:
    """A forked process, marked and in a session of its own, as a worker is."""
    pid = os.fork()
    if pid == 0:
        try:
            os.setsid()
            tag_this_process(tag)
            function(*args)  # type: ignore[operator]
        finally:
            os._exit(0)
    return pid


def end(root: int | None, tag: Tag) -> TreeKill:
    treekill = TreeKill(root, tag.matches)
    wait_until(treekill.step, why="the tree is gone")
    return treekill


def failing(error: int) -> object:
    def fail(*_arguments: object) -> None:
        raise OSError(error, os.strerror(error))

    return fail


def without_pidfds(monkeypatch: pytest.MonkeyPatch, error: int | None) -> None:
    if error is not None:
        monkeypatch.setattr(os, "pidfd_open", failing(error))


def wait_for_middle_ones(root: int, ways: Sequence[str]) -> None:
    """Wait until the process between a worker and a child that was forked twice has ended.

    It may still be there when the child has begun, and would be killed with it.
    """
    direct = sum(not way.startswith("double") for way in ways)
    wait_until(lambda: sum(not is_gone(c.pid) for c in psutil.Process(root).children()) == direct)


def assert_the_family_is_ended(tag: Tag, folder: Path) -> None:
    ledger = str(folder / "ledger")
    root = worker_running(jobs.spawn_children, tag, ledger, "job")
    children = wait_until(lambda: len(pids := jobs.child_pids(ledger)) == len(WAYS) and pids)
    wait_for_middle_ones(root, WAYS)

    treekill = end(root, tag)

    assert [pid for pid in children if not is_gone(pid)] == []
    assert treekill.killed == len(WAYS) + 1
    reap.reap(root)


@pytest.mark.fault("C4")
@pytest.mark.fault("C5")
@pytest.mark.parametrize("way", WAYS)
def test_no_child_gets_away(way: str, tag: Tag, tmp_path: Path) -> None:
    ledger = str(tmp_path / "ledger")
    root = worker_running(jobs.spawn_children, tag, ledger, "job", [way])
    (child,) = wait_until(lambda: jobs.child_pids(ledger))
    wait_for_middle_ones(root, [way])

    treekill = end(root, tag)

    assert is_gone(child)
    assert reap.exit_record_of(root) == ExitRecord(signal="SIGKILL")
    assert treekill.killed == 2
    reap.reap(root)


def test_all_children_at_once_are_gone_and_a_bystander_lives(tag: Tag, tmp_path: Path) -> None:
    ledger = str(tmp_path / "ledger")
    other = Tag(tag.home, tag.run, tag.slot, tag.generation + 1)
    bystander = worker_running(jobs.sleep_py, other, ledger, "bystander", 60)
    root = worker_running(jobs.spawn_children, tag, ledger, "job")
    children = wait_until(lambda: len(pids := jobs.child_pids(ledger)) == len(WAYS) and pids)

    end(root, tag)

    assert [pid for pid in children if not is_gone(pid)] == []
    assert not is_gone(bystander)
    end(bystander, other)
    reap.reap(root)
    reap.reap(bystander)


@pytest.mark.fault("C5")
def test_children_whose_parent_is_dead_already_are_found_by_their_tag(
    tag: Tag, tmp_path: Path
) -> None:
    ledger = str(tmp_path / "ledger")
    root = worker_running(jobs.spawn_children, tag, ledger, "job")
    children = wait_until(lambda: len(pids := jobs.child_pids(ledger)) == len(WAYS) and pids)
    os.kill(root, signal.SIGKILL)
    wait_until(lambda: reap.exit_record_of(root))

    end(root, tag)

    assert [pid for pid in children if not is_gone(pid)] == []
    reap.reap(root)


def test_a_job_that_ignores_every_signal_is_ended(tag: Tag, tmp_path: Path) -> None:
    ledger = str(tmp_path / "ledger")
    root = worker_running(jobs.ignore_signals, tag, ledger, "job")
    wait_until(lambda: jobs.calls(ledger))

    end(root, tag)

    assert reap.exit_record_of(root) == ExitRecord(signal="SIGKILL")
    reap.reap(root)


def test_a_stopped_tree_is_ended(tag: Tag, tmp_path: Path) -> None:
    ledger = str(tmp_path / "ledger")
    root = worker_running(jobs.sleep_py, tag, ledger, "job")
    wait_until(lambda: jobs.calls(ledger))
    os.kill(root, signal.SIGSTOP)

    end(root, tag)

    assert is_gone(root)
    reap.reap(root)


@pytest.mark.fault("C12")
@pytest.mark.parametrize("target", ["zero", "init", "minus one", "own", "own group", "kernel"])
def test_a_signal_to_what_is_never_a_jobs_is_refused(
    target: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = structlog.testing.CapturingLogger()
    monkeypatch.setattr(safe_signal, "log", log)
    pid = {"zero": 0, "init": 1, "minus one": -1, "kernel": 2}.get(target, os.getpid())
    pid = os.getpgrp() if target == "own group" else pid
    # The leader of our own group may be gone, and its number is refused all the same.
    ticks = syscalls.start_ticks(pid) if pid > 0 and target != "own group" else 0
    if target == "kernel" and not syscalls.read_process(pid).is_kernel_thread:
        pytest.skip("in this process namespace there are no threads of the kernel")

    sent = safe_signal.send((pid, ticks), signal.SIGCONT)

    assert sent is Sent.REFUSED
    assert [(call.args, call.kwargs) for call in log.calls] == [
        (("kill_refused",), {"target": pid})
    ]


@pytest.mark.fault("C12")
def test_a_signal_to_a_group_that_is_never_a_jobs_is_refused() -> None:
    for leader in (-1, 0, 1, os.getpid(), os.getpgrp()):
        assert safe_signal.send_to_group(leader, signal.SIGCONT) is Sent.REFUSED


@pytest.mark.parametrize("error", [None, errno.ENOSYS, errno.EPERM, errno.EMFILE])
def test_a_process_is_not_signalled_when_its_number_belongs_to_another_by_now(
    error: int | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    without_pidfds(monkeypatch, error)
    bystander = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
    earlier = (bystander.pid, syscalls.start_ticks(bystander.pid) - 1)

    sent = safe_signal.send(earlier, signal.SIGKILL)

    assert sent is Sent.GONE
    assert bystander.poll() is None
    bystander.kill()
    bystander.wait()


@pytest.mark.fault("I3")
@pytest.mark.parametrize("error", [errno.ENOSYS, errno.EPERM, errno.EMFILE])
def test_a_tree_is_ended_without_pidfds(
    error: int, tag: Tag, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    without_pidfds(monkeypatch, error)

    assert_the_family_is_ended(tag, tmp_path)


@pytest.mark.fault("I3")
def test_a_tree_is_ended_where_a_pidfd_cannot_be_signalled(
    tag: Tag, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(signal, "pidfd_send_signal", failing(errno.ENOSYS))

    assert_the_family_is_ended(tag, tmp_path)


@pytest.mark.fault("I3")
def test_a_tree_is_ended_where_the_kernel_has_no_lists_of_children(
    tag: Tag, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(syscalls, "_HAS_CHILDREN_LISTS", False)

    assert_the_family_is_ended(tag, tmp_path)


@pytest.mark.fault("I3")
def test_a_tree_is_ended_where_orphans_are_adopted_by_somebody_else(
    tag: Tag, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(syscalls, "is_subreaper", lambda: False)

    assert_the_family_is_ended(tag, tmp_path)


@pytest.mark.fault("C13")
@pytest.mark.root
@pytest.mark.skipif(os.geteuid() != 0, reason="only root has children of several users")
def test_a_child_of_another_user_is_reported_once_and_nobody_crashes(tmp_path: Path) -> None:
    counts = tmp_path / "counts"

    def work() -> None:
        os.fork()
        if os.getpid() == os.getsid(0):
            os.setresuid(65534, 65534, 65534)
        signal.pause()

    def supervise() -> None:
        log = structlog.testing.CapturingLogger()
        treekill_module.log = log
        syscalls.become_subreaper()
        worker = forked_into_a_session(work)
        wait_until(lambda: syscalls.children_of(worker))
        wait_until(lambda: Path(f"/proc/{worker}").stat().st_uid == 65534)
        os.setresuid(65534, 65534, 65534)
        treekill = TreeKill(worker, lambda _mark: False)
        for _ in range(10):
            treekill.step()
        wait_until(lambda: reap.exit_record_of(worker))
        seen = [[list(call.args), call.kwargs] for call in log.calls]
        facts = [seen, sorted(treekill.denied)]
        os.write(note, json.dumps(facts).encode())

    note = os.open(counts, os.O_WRONLY | os.O_CREAT)
    supervisor = forked_into_a_session(supervise)
    calls, denied = json.loads(wait_until(counts.read_text))
    os.close(note)
    (grandchild,) = denied

    assert calls == [[["kill_denied"], {"pid": grandchild, "uid": 0}]]
    wait_until(lambda: is_gone(supervisor))


def forked_into_a_session(function: Callable[[], object]) -> int:
    pid = os.fork()
    if pid == 0:
        try:
            os.setsid()
            function()
        finally:
            os._exit(0)
    return pid


def test_the_process_that_kills_is_never_part_of_a_tree(tag: Tag, tmp_path: Path) -> None:
    treekill = TreeKill(None, lambda mark: mark.tag == tag or mark == tags_of(os.getpid()))

    assert os.getpid() not in [process.pid for process in treekill._members()]


def test_a_worker_ends_what_its_job_has_started_and_lives(tag: Tag, tmp_path: Path) -> None:
    ledger = str(tmp_path / "ledger")

    def live() -> None:
        jobs.spawn_children(ledger, "job", stay=False)
        end(os.getpid(), tag)
        (tmp_path / "lives").touch()
        signal.pause()

    root = worker_running(live, tag)
    wait_until((tmp_path / "lives").exists)

    assert len(jobs.child_pids(ledger)) == len(WAYS)
    assert [pid for pid in jobs.child_pids(ledger) if not is_gone(pid)] == []
    assert not is_gone(root)
    end(root, tag)
    reap.reap(root)


def test_a_forked_child_that_never_execs_carries_the_tag(tag: Tag, tmp_path: Path) -> None:
    ledger = str(tmp_path / "ledger")
    root = worker_running(jobs.spawn_children, tag, ledger, "job", ["plain-fork"])
    (child,) = wait_until(lambda: jobs.child_pids(ledger))

    assert tag_of(child) == tag
    assert tag_of(os.getpid()) != tag
    end(root, tag)
    reap.reap(root)


def test_a_tag_reads_back_as_it_was_written(tag: Tag) -> None:
    assert Tag.parse(str(tag)) == tag
    assert Tag.parse("") is None
    assert Tag.parse("a|b|c") is None
    assert Tag.parse("a|b|c|d") is None


@pytest.mark.daemon
def test_no_child_gets_away_from_a_daemon_that_was_given_hardly_any_environment(daemons):
    daemon = daemons({"pools.default.timeout_grace": 0}, start=False, fresh=True)
    daemon.environment = {"PATH": os.defpath}
    daemon.start()
    seen = daemon.submit(jobs.environment, "sees", {"names": ["PATH", "GIGQD_FILLER"]})
    job_id = daemon.submit(jobs.spawn_children, "family", timeout=3, max_attempts=1)
    children = wait_until(lambda: len(pids := jobs.child_pids(daemon.ledger)) == 6 and pids)

    daemon.wait_for_job(job_id, "timeout")

    assert [pid for pid in children if not is_gone(pid)] == []
    assert daemon.job(seen)["result"]["env"] == {"PATH": os.defpath, "GIGQD_FILLER": None}
