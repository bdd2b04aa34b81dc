"""What must hold after every test with a daemon: the rules P1 to P9 of docs/faults.md.

P10, that an idle supervisor costs next to nothing, needs an idle while and has a test of its own.
"""

from __future__ import annotations

import json
import os
import subprocess
from collections import Counter
from contextlib import closing, suppress
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import psutil
from support import jobs
from support.raw_sql import Program
from support.waiting import wait_until

from gigqd.linux import syscalls
from gigqd.process.process_tag import VARIABLE, Tag, home_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from support.daemon import Daemon

CUT_SHORT = {"timeout", "crashed", "memory", "oom", "cancelled", "stopped", "lost"}


def while_running(daemon: Daemon) -> None:
    """Hold a running daemon to P2 and P3: no zombie, and nothing more open than at the start.

    Raises:
        AssertionError: it breaks one.
    """
    if "P2" not in daemon.excused:
        wait_until(lambda: not zombies_of(daemon.pid), 2.0, why=f"P2: no zombie of {daemon.pid}")
    if "P3" not in daemon.excused:
        wait_until(lambda: _is_back(daemon), 5.0, why=f"P3: descriptors back to {daemon.baseline}")
        assert psutil.Process(daemon.pid).num_threads() == 1


def afterwards(daemon: Daemon) -> None:
    """Hold a daemon that has ended to P1, P4 to P7 and P9.

    Raises:
        AssertionError: it breaks one.
    """
    if "P1" not in daemon.excused:
        wait_until(lambda: not daemon.tagged_pids(), 2.0, why="P1: no tagged process is left")
    found = [*_files(daemon), *_log(daemon), *_accounts(daemon)]
    broken = [text for rule, text in found if rule not in daemon.excused]

    assert not broken, "\n".join(broken)


class Bystander:
    """A process that is none of any daemon's business, though it looks like a worker's: P8."""

    def __init__(self) -> None:
        tag = Tag(home_of("/missing/other.db"), "gigqd:1", "default/0", 1)
        self._process = subprocess.Popen(
            ["sleep", "3600"],
            env={**os.environ, VARIABLE: str(tag)},
            stdin=subprocess.DEVNULL,
            start_new_session=True,
        )

    @property
    def alive(self) -> bool:
        """Whether it lives."""
        return self._process.poll() is None

    def check(self) -> None:
        """Raise AssertionError unless it lives."""
        assert self.alive, "P8: a bystander was killed"

    def end(self) -> None:
        """Let it go."""
        self._process.kill()
        self._process.wait()


_bystanders: list[Bystander] = []


def bystander() -> Bystander:
    """The bystander of the tests in this process; another one after it was killed."""
    if not _bystanders or not _bystanders[-1].alive:
        _bystanders.append(Bystander())
    return _bystanders[-1]


def end_bystanders() -> None:
    """End those of this process, when its last test is over."""
    for each in _bystanders:
        each.end()


# --- P2, P3: what the supervisor holds ---------------------------------------------------------


def zombies_of(pid: int) -> list[int]:
    """The children of a process that are dead and not reaped."""
    return [child for child in syscalls.children_of(pid) if _is_zombie(child)]


def resources(daemon: Daemon) -> tuple[int, int]:
    """How many slots a daemon has, and how many descriptors."""
    # Counted before asking: the daemon closes the connection in its own time.
    descriptors = psutil.Process(daemon.pid).num_fds()
    return len(daemon.status()["slots"]), descriptors


def _is_back(daemon: Daemon) -> bool:
    slots, descriptors = resources(daemon)
    before = daemon.baseline
    return before is None or slots != before[0] or descriptors <= before[1] + 1


def _is_zombie(pid: int) -> bool:
    with suppress(psutil.NoSuchProcess):
        return bool(psutil.Process(pid).status() == psutil.STATUS_ZOMBIE)
    return False


# --- P7, P9: files and log ---------------------------------------------------------------------


def _files(daemon: Daemon) -> Iterator[tuple[str, str]]:
    if daemon.runtime_files.running() is not None:
        yield "P7", "P7: the lock is held"
    if daemon.stopped_in_order:
        left = [path for path in _runtime_files(daemon) if path.exists()]
        yield from (("P7", f"P7: {path} is left") for path in left)


def _runtime_files(daemon: Daemon) -> tuple[Any, Any]:
    return daemon.runtime_files.pid_path, daemon.runtime_files.socket_path


def _log(daemon: Daemon) -> Iterator[tuple[str, str]]:
    for line in daemon.log_text().splitlines():
        try:
            entry = json.loads(line)
        except ValueError:
            yield "P9", f"P9: no JSON in the log: {line[:200]!r}"
        else:
            if entry["logger"].startswith("gigqd.") and "traceback" in entry:
                yield "P9", f"P9: a traceback in the log: {line[:2000]}"


# --- P4, P5, P6: every job is accounted for ----------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Records:
    """What the database says of the jobs whose calls are in the ledger."""

    jobs: dict[str, dict[str, Any]]
    executions: dict[str, list[dict[str, Any]]]


def _accounts(daemon: Daemon) -> Iterator[tuple[str, str]]:
    yield from (("P5", text) for text in _overlaps(daemon))
    if {"P4", "P6"} <= daemon.excused.keys() or not (daemon.submitted or daemon.ledger.exists()):
        return
    records = _read_records(daemon)
    missing = daemon.submitted.keys() - records.jobs.keys()
    yield from (("P6", f"P6: job {daemon.submitted[job_id]} is missing") for job_id in missing)
    for job_id, job in records.jobs.items():
        outcomes = _outcomes(job, records.executions[job_id], stopped=daemon.stopped_in_order)
        yield from (("P4", f"P4: job {job['name']}: {text}") for text in outcomes)
    yield from (("P4", f"P4: {text}") for text in _starts(daemon, records))


def _read_records(daemon: Daemon) -> _Records:
    with closing(Program(daemon.address)) as program:
        mine = {row["id"]: row for row in program.rows("SELECT * FROM jobs")}
        mine = {job_id: job for job_id, job in mine.items() if str(daemon.ledger) in job["params"]}
        executions: dict[str, list[dict[str, Any]]] = {job_id: [] for job_id in mine}
        for row in program.rows("SELECT * FROM job_executions ORDER BY id"):
            if row["job_id"] in mine:
                executions[row["job_id"]].append(row)
    return _Records(mine, executions)


def _outcomes(
    job: dict[str, Any], executions: list[dict[str, Any]], *, stopped: bool
) -> Iterator[str]:
    """P4: one outcome for a job, the same in it and by its executions."""
    ends = Counter(execution["status"] for execution in executions)
    if ends["completed"] != (job["status"] == "completed"):
        yield f"{job['status']} with {ends['completed']} executions that are completed"
    if ends["running"] != (job["status"] == "running"):
        yield f"{job['status']} with {ends['running']} executions that are open"
    if stopped and ends["running"]:
        yield "an execution is open after an orderly stop"


def _starts(daemon: Daemon, records: _Records) -> Iterator[str]:
    """P4: every execution was one call, unless it was cut short before its first line."""
    calls = [call for call in daemon.calls() if call.execution is not None]
    count = Counter(call.execution for call in calls)
    known = {e["id"]: e for executions in records.executions.values() for e in executions}
    ended = {call.execution for call in calls if call.end is not None}
    for call in calls:
        if call.execution not in known:
            yield f"a call of {call.job} without an execution"
    for execution_id, execution in known.items():
        name = records.jobs[execution["job_id"]]["name"]
        if count[execution_id] > 1:
            yield f"{name}: {count[execution_id]} calls for one execution"
        if not count[execution_id] and not _cut_short(execution):
            yield f"{name}: an execution that is {execution['status']} was never called"
        if execution["status"] == "completed" and execution_id not in ended:
            yield f"{name}: a completed execution has no end in the ledger"


def _cut_short(execution: dict[str, Any]) -> bool:
    return execution["status"] == "running" or execution["cause"] in CUT_SHORT


def _overlaps(daemon: Daemon) -> Iterator[str]:
    """P5: no execution of a job begins while something of an earlier one lives."""
    for entry in jobs.entries(daemon.ledger, "overlap"):
        yield f"P5: {entry['job']} began while an earlier attempt of it lived"
    for calls in _by_job(daemon.calls()):
        for earlier, later in pairwise(calls):
            if earlier.end is not None and earlier.end > later.start:
                yield f"P5: two calls of {earlier.job} overlap"


def _by_job(calls: Iterable[jobs.Call]) -> Iterable[list[jobs.Call]]:
    """The calls of each job. The id groups them: two jobs may have one name."""
    grouped: dict[str, list[jobs.Call]] = {}
    for call in calls:
        if call.job_id is not None:
            grouped.setdefault(call.job_id, []).append(call)
    return grouped.values()
