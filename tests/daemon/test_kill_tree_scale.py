"""Processes of jobs multiply, leave home and deny where they come from: none outlives its job."""

from __future__ import annotations

import os
import signal
import subprocess
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from support import forking, jobs
from support.waiting import wait_until

from gigqd import exit_codes
from gigqd.linux import syscalls
from gigqd.process.process_tag import tags_of
from gigqd.process.process_tree import descendants

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.daemon

KILLED_AT_ONCE = {"pools.default.timeout_grace": 0}


def is_gone(pid: int, born: int | None = None) -> bool:
    try:
        process = syscalls.read_process(pid)
    except ProcessLookupError:
        return True
    return not process.alive or (born is not None and process.start_ticks != born)


def living_children(daemon) -> list[int]:
    return [
        line["pid"]
        for line in jobs.entries(daemon.ledger, "child")
        if not is_gone(line["pid"], line["born"])
    ]


def tree_of(pid: int) -> set[tuple[int, int]]:
    return {process.identity for process in descendants(syscalls.read_process(pid))}


def survivors(tree: set[tuple[int, int]]) -> list[int]:
    return [pid for pid, born in tree if not is_gone(pid, born)]


def marked(daemon) -> list[int]:
    """Every process that carries a stamp of this daemon's run, also without its tag."""
    stamps = {tags_of(pid).rlimit_tag for pid in (*daemon.worker_pids(),)}
    runs = {rlimit_tag >> 15 for rlimit_tag in stamps if rlimit_tag}
    found = {pid: tags_of(pid).rlimit_tag for pid in syscalls.all_pids() if not is_gone(pid)}
    return [pid for pid, rlimit_tag in found.items() if rlimit_tag and rlimit_tag >> 15 in runs]


@contextmanager
def control_group(folder: Path) -> Iterator[Path]:
    """A control group made for this test; skips where that cannot be."""
    try:
        folder.mkdir()
    except OSError as error:
        pytest.skip(f"no control group can be made: {error}")
    try:
        yield folder
    finally:
        leaves = [path for path in folder.iterdir() if path.is_dir()]
        for group in (*leaves, folder):
            wait_until(lambda group=group: is_removed(group), why=f"{group} is empty")


def is_removed(group: Path) -> bool:
    with suppress(OSError):
        group.rmdir()
    return not group.exists()


@pytest.fixture(autouse=True)
def _end_what_a_failed_test_leaves(tmp_path: Path) -> Iterator[None]:
    """No other code finds a process without marks."""
    yield
    for ledger in tmp_path.glob("*/ledger"):
        for line in jobs.entries(ledger, "child"):
            if not is_gone(line["pid"], line["born"]):
                os.kill(line["pid"], signal.SIGKILL)


@pytest.fixture
def delegated() -> Iterator[Path]:
    """A control group that carries the mark of systemd's `Delegate=yes`."""
    mounts = [line.split() for line in Path("/proc/self/mounts").read_text().splitlines()]
    unified = [Path(mount[1]) for mount in mounts if mount[2] == "cgroup2"]
    if not unified:
        pytest.skip("no control groups of version 2")
    with control_group(unified[0] / f"gigqd-test-{os.getpid()}") as folder:
        if not (folder / "cgroup.kill").exists():
            pytest.skip("this kernel cannot kill a control group")
        os.setxattr(folder, "user.delegate", b"1")
        yield folder


@pytest.fixture
def freezer() -> Iterator[Path]:
    """A group of the freezer of version 1, in which a process survives SIGKILL until it thaws."""
    with control_group(Path(f"/sys/fs/cgroup/freezer/gigqd-test-{os.getpid()}")) as folder:
        try:
            yield folder
        finally:
            thaw(folder)


def freeze(group: Path, pid: int) -> None:
    (group / "cgroup.procs").write_text(str(pid))
    (group / "freezer.state").write_text("FROZEN")
    wait_until(lambda: (group / "freezer.state").read_text().strip() == "FROZEN")


def thaw(group: Path) -> None:
    (group / "freezer.state").write_text("THAWED")


def below(daemon, group: Path) -> None:
    """Have a daemon start inside a control group."""
    python = daemon.home / "python"
    script = f'echo $$ > "{group}/cgroup.procs"\nexec "{daemon.interpreter}" "$@"'
    python.write_text(f"#!/bin/sh\n{script}\n")
    python.chmod(0o755)
    daemon.interpreter = str(python)


@pytest.fixture
def bystander() -> Iterator[subprocess.Popen[bytes]]:
    """A child of this test, in a session of its own as a daemonized child of a job would be."""
    process = subprocess.Popen(["sleep", "600"], start_new_session=True)
    yield process
    process.kill()
    process.wait()


@pytest.mark.fault("C3")
def test_a_tree_of_forty_shells_four_levels_deep_is_gone(daemons, bystander):
    daemon = daemons(KILLED_AT_ONCE)
    job_id = daemon.submit(forking.shell_tree, "tree", {"levels": 3}, timeout=6, max_attempts=1)
    (call,) = daemon.wait_for_calls("tree")
    tree = wait_until(lambda: len(found := tree_of(call.pid)) >= 80 and found)

    execution = daemon.wait_for_job(job_id, "timeout")["executions"][0]

    assert survivors(tree) == []
    assert execution["killed"] >= 81
    assert bystander.poll() is None


@pytest.mark.fault("C6")
def test_a_child_without_tag_session_or_parent_is_known_by_its_stamp(daemons, bystander):
    daemon = daemons(KILLED_AT_ONCE)
    job_id = daemon.submit(forking.slip_away, "slips", timeout=2, max_attempts=1)
    (child,) = wait_until(lambda: living_children(daemon))
    wait_until(lambda: tags_of(child).tag is None)

    daemon.wait_for_job(job_id, "timeout")

    assert is_gone(child)
    assert bystander.poll() is None


@pytest.mark.fault("C6")
def test_a_child_that_puts_down_every_mark_is_reported(daemons):
    daemon = daemons(KILLED_AT_ONCE)
    daemon.excused["P1"] = "the child carries no mark"
    job_id = daemon.submit(forking.slip_away_without_a_trace, "ghost", timeout=2, max_attempts=1)
    (child,) = wait_until(lambda: living_children(daemon))

    daemon.wait_for_job(job_id, "timeout")
    event = daemon.wait_for_event("unidentified_orphan_adopted")

    assert event["orphan"] == child
    assert not is_gone(child)


@pytest.mark.fault("C6")
@pytest.mark.root
def test_no_child_leaves_a_delegated_control_group(daemons, delegated):
    daemon = daemons(KILLED_AT_ONCE, start=False)
    below(daemon, delegated)
    daemon.start()
    leaves = {path.name for path in delegated.iterdir() if path.is_dir()}
    job_id = daemon.submit(forking.slip_away_without_a_trace, "ghost", timeout=2, max_attempts=1)
    (child,) = wait_until(lambda: living_children(daemon))

    execution = daemon.wait_for_job(job_id, "timeout")["executions"][0]
    daemon.wait_for_job(daemon.submit(jobs.ok, "next"), "completed")
    daemon.stop()

    assert is_gone(child)
    assert execution["killed"] == 2
    assert len(leaves) >= 3
    assert [path.name for path in delegated.iterdir() if path.is_dir()] == ["gigqd"]


@pytest.mark.fault("F11")
@pytest.mark.root
def test_a_worker_killed_for_want_of_memory_is_distinguished_from_others(daemons):
    group = Path(f"/sys/fs/cgroup/memory/gigqd-test-{os.getpid()}")
    with control_group(group):
        (group / "memory.limit_in_bytes").write_text(str(64 * 2**20))
        daemon = daemons()
        go = daemon.home / "go"
        job_id = daemon.submit(
            forking.eat_memory, "eats", {"path": str(go), "megabytes": 500}, max_attempts=1
        )
        (call,) = daemon.wait_for_calls("eats")
        (group / "cgroup.procs").write_text(str(call.pid))
        go.touch()

        (eaten,) = daemon.wait_for_job(job_id)["executions"]
        killed_id = daemon.submit(jobs.kill_worker, "killed", max_attempts=1)
        (killed,) = daemon.wait_for_job(killed_id)["executions"]

    assert (eaten["cause"], eaten["signal"]) == ("oom", "SIGKILL")
    assert (killed["cause"], killed["signal"]) == ("crashed", "SIGKILL")


@pytest.mark.fault("C14")
@pytest.mark.root
def test_a_process_that_cannot_be_killed_holds_up_its_job_and_nothing_else(daemons, freezer):
    daemon = daemons({**KILLED_AT_ONCE, "pools.default.size": 1})
    job_id = daemon.submit(jobs.sleep_py, "frozen", timeout=1, max_attempts=2)
    (call,) = daemon.wait_for_calls("frozen")
    freeze(freezer, call.pid)

    daemon.wait_for_event("tree_kill_incomplete", within=20)
    daemon.wait_for_job(daemon.submit(jobs.ok, "other"), "completed")
    while_frozen = (str(daemon.job(job_id)["status"]), len(daemon.calls("frozen")))
    thaw(freezer)
    job = daemon.wait_for_job(job_id, "timeout", within=30)

    assert while_frozen == ("running", 1)
    assert is_gone(call.pid, call.born)
    assert job["attempts"] == 2


@pytest.mark.fault("C14")
@pytest.mark.root
@pytest.mark.parametrize(("queue", "other"), [("default", "other"), ("other", "default")])
def test_a_process_that_cannot_be_killed_holds_up_no_reload(
    daemons, freezer, tmp_path, queue, other
):
    go = tmp_path / "go"
    (tmp_path / "slow_shop.py").write_text(
        "import pathlib, time\n"
        f"while not pathlib.Path({str(go)!r}).exists():\n    time.sleep(0.02)\n"
    )
    pools = {
        f"pools.{name}.{key}": value
        for name in (queue, other)
        for key, value in {"size": 1, "queues": [name], "timeout_grace": 0}.items()
    }
    daemon = daemons(pools)
    busy = daemon.submit(jobs.beat, "busy", {"path": str(tmp_path / "beats")}, queue=other)
    daemon.wait_for_calls("busy")
    rules = {"timeout": 1, "max_attempts": 1, "queue": queue}
    job_id = daemon.submit(jobs.sleep_py, "frozen", **rules)
    (call,) = daemon.wait_for_calls("frozen")
    freeze(freezer, call.pid)
    daemon.configure({"code.imports": ["slow_shop"], "code.python_path": [str(tmp_path)]})

    assert "not up after 1 s" in daemon.command("reload", "--timeout", "1").stderr
    daemon.wait_for_event("tree_kill_incomplete", within=20)
    daemon.wait_for_job(daemon.submit(jobs.ok, "meanwhile", queue=queue), "completed")
    go.touch()
    daemon.wait_for_event("reload_applied")
    thaw(freezer)
    (tmp_path / "beats.end").touch()

    daemon.wait_for_job(job_id, "timeout")
    daemon.wait_for_job(busy, "completed")
    assert daemon.command("reload").returncode == 0


@pytest.mark.fault("C14")
@pytest.mark.root
def test_a_stop_that_leaves_a_process_behind_says_so_by_its_exit_code(daemons, freezer):
    daemon = daemons({**KILLED_AT_ONCE, "daemon.stop_timeout": 1})
    for rule in ("P1", "P4", "P7"):
        daemon.excused[rule] = "a process is left on purpose"
    daemon.submit(jobs.sleep_py, "frozen", max_attempts=1)
    (call,) = daemon.wait_for_calls("frozen")
    freeze(freezer, call.pid)

    answer = daemon.client.ask("stop", now=True, within=40)
    code = daemon.wait_for_exit(40)
    left = [path.name.partition("-")[0] for path in Path(f"{daemon.database}.gigq").iterdir()]

    thaw(freezer)
    wait_until(lambda: is_gone(call.pid, call.born))
    assert (answer["code"], code) == (exit_codes.LEFT_BEHIND, exit_codes.LEFT_BEHIND)
    assert ("run" in left, "orderly" in left) == (True, False), "the next start looks for it"


@pytest.mark.fault("C5")
@pytest.mark.parametrize("setsid", [False, True], ids=["in-the-group", "each-in-its-session"])
def test_processes_that_fork_a_child_and_end_are_caught(daemons, setsid):
    daemon = daemons(KILLED_AT_ONCE)
    settings = {"chains": 2, "setsid": setsid}
    job_id = daemon.submit(forking.hop, "hops", settings, timeout=3, max_attempts=1)
    wait_until(lambda: jobs.entries(daemon.ledger, "child"))

    daemon.wait_for_job(job_id, "timeout", within=30)

    assert [pid for pid in marked(daemon) if pid not in all_slots(daemon)] == []


def all_slots(daemon) -> list[int]:
    return [slot["pid"] for slot in daemon.status()["slots"]]


@pytest.mark.fault("C5")
def test_a_tree_that_doubles_as_fast_as_it_can_is_ended(daemons, bystander):
    daemon = daemons(KILLED_AT_ONCE)
    job_id = daemon.submit(forking.multiply, "bomb", {"most": 150}, timeout=2, max_attempts=1)
    wait_until(lambda: jobs.entries(daemon.ledger, "child"))

    execution = daemon.wait_for_job(job_id, "timeout", within=30)["executions"][0]

    assert [pid for pid in marked(daemon) if pid not in all_slots(daemon)] == []
    assert execution["killed"] >= 50
    assert bystander.poll() is None


@pytest.mark.fault("C9")
def test_workers_that_abuse_their_line_hinder_no_other_job_and_no_answer(daemons):
    ways = ("flood", "garbage", "half", "megabyte")
    daemon = daemons({**KILLED_AT_ONCE, "pools.default.size": len(ways) + 1})
    abusers = [
        daemon.submit(forking.abuse_the_line, how, {"how": how}, timeout=2, max_attempts=1)
        for how in ways
    ]
    wait_until(lambda: len(jobs.entries(daemon.ledger, "child")) >= len(ways))

    others = [daemon.submit(jobs.ok, f"other {number}") for number in range(10)]
    for other in others:
        daemon.wait_for_job(other, "completed")

    assert daemon.status()["state"] == "running"
    for job_id in abusers:
        assert str(daemon.wait_for_job(job_id)["status"]) in ("timeout", "failed")


@pytest.mark.fault("H6")
def test_a_job_ends_its_own_children_as_multiprocessing_does(daemons):
    daemon = daemons()

    job_id = daemon.submit(jobs.terminate_a_child, "pool")

    assert daemon.wait_for_job(job_id, "completed")["result"] == -signal.SIGTERM
    assert living_children(daemon) == []


@pytest.mark.fault("C8")
def test_a_tree_is_gone_though_the_clock_jumps_while_it_is_ended(daemons):
    daemon = daemons(KILLED_AT_ONCE, start=False)
    run_in_every_interpreter(daemon, JUMPING.format(path=str(daemon.home / "met")))
    daemon.start()
    job_id = daemon.submit(jobs.spawn_children, "family", timeout=3, max_attempts=1)
    children = wait_until(lambda: len(pids := living_children(daemon)) == 6 and pids)

    daemon.wait_for_job(job_id, "timeout")

    assert [pid for pid in children if not is_gone(pid)] == []
    assert (daemon.home / "met").exists()


@pytest.mark.fault("I3")
def test_a_daemon_without_pidfds_ends_trees_as_well(daemons, bystander):
    daemon = daemons(KILLED_AT_ONCE, start=False)
    run_in_every_interpreter(daemon, WITHOUT_PIDFDS.format(path=str(daemon.home / "met")))
    daemon.start()
    job_id = daemon.submit(jobs.spawn_children, "family", timeout=3, max_attempts=1)
    children = wait_until(lambda: len(pids := living_children(daemon)) == 6 and pids)

    daemon.wait_for_job(job_id, "timeout")

    assert [pid for pid in children if not is_gone(pid)] == []
    assert (daemon.home / "met").exists()
    assert bystander.poll() is None


def run_in_every_interpreter(daemon, text: str) -> None:
    """Have the daemon, and what it starts, run some code first."""
    code = daemon.home / "code"
    code.mkdir()
    (code / "sitecustomize.py").write_text(text)
    paths = [str(code), daemon.environment.get("PYTHONPATH", "")]
    daemon.environment["PYTHONPATH"] = os.pathsep.join(filter(None, paths))


WITHOUT_PIDFDS = """
import errno, os, pathlib
def refuse(*_):
    pathlib.Path({path!r}).touch()
    raise OSError(errno.ENOSYS, "Function not implemented")
os.pidfd_open = refuse
"""

# An hour forth and back at each look at the wall clock.
JUMPING = """
import itertools, pathlib, time
jumps = itertools.cycle((0, 3600, -3600))
def jump(now=time.time):
    pathlib.Path({path!r}).touch()
    return now() + next(jumps)
def jump_ns(now=time.time_ns):
    pathlib.Path({path!r}).touch()
    return now() + next(jumps) * 1_000_000_000
time.time, time.time_ns = jump, jump_ns
"""


@pytest.mark.fault("E5")
def test_what_a_killed_daemon_leaves_is_ended_by_the_next_start_before_a_job_begins(daemons):
    daemon = daemons({"pools.default.size": 2})
    daemon.submit(jobs.spawn_children, "family", max_attempts=1)
    daemon.submit(forking.slip_away, "slips", max_attempts=1)
    wait_until(lambda: len(living_children(daemon)) == 7)

    daemon.kill()
    daemon.start()

    assert living_children(daemon) == []
    assert daemon.wait_for_event("orphans_killed")["killed"] >= 7
