"""Status of the daemon for `gigqd status`: its state, slots, counters and recent failures."""

from __future__ import annotations

import os
import time
from collections import deque
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from gigq import __version__
from gigq.model.url_passwords import mask_passwords
from gigqd.ipc.scoreboard import Activity, Report
from gigqd.linux import syscalls
from gigqd.supervisor.slots import RECORDER, Phase

if TYPE_CHECKING:
    from collections.abc import Mapping

    from gigqd.config import Config
    from gigqd.ipc.exit_record import ExitRecord
    from gigqd.process.child import Child
    from gigqd.supervisor.children import Children
    from gigqd.supervisor.slots import Slot

_MOST_FAILURES = 20
_COUNTER_OF = {"timeout": "timeouts", "crashed": "crashes"}
_INTERRUPTING = frozenset({"timeout", "cancelled", "stopped"})
_JOB_FIELDS = dict.fromkeys(("job_id", "job", "attempt", "execution"))  # in this order
_FAILURE_FIELDS = (
    "cause",
    "exit_code",
    "signal",
    "wall_time",
    "cpu_time",
    "peak_memory",
    "late",
    "killed",
)


@dataclass(slots=True)
class Counters:
    """Numbers of events since the daemon was started.

    Attributes:
        settled: executions whose outcome a worker recorded itself.
        timeouts: jobs interrupted, or killed with their worker, because they overran.
        crashes: workers that died by themselves.
        memory: workers killed because their job used too much memory.
        oom: workers that the kernel killed because memory ran out.
        cancelled: jobs interrupted, or killed with their worker, because they were cancelled.
        stopped: jobs interrupted, or killed with their worker, because the daemon stopped.
        lost: jobs killed with their worker, because the daemon's lease could not be renewed.
        boot: workers that failed to boot.
        restarts: children that were replaced after a failure.
        reloads: configurations that were applied.
    """

    settled: int = 0
    timeouts: int = 0
    crashes: int = 0
    memory: int = 0
    oom: int = 0
    cancelled: int = 0
    stopped: int = 0
    lost: int = 0
    boot: int = 0
    restarts: int = 0
    reloads: int = 0


@dataclass(slots=True)
class DaemonStatus:
    """State of the daemon.

    Attributes:
        config: the configuration in use.
        run: the id of its run.
        generation: 1, and one more for every reload.
        ready: the first worker has booted.
        stopping: a stop has begun.
        reloading: a new configuration is being tried.
        paused: claims are suspended by `gigqd pause`.
        database_error: why it cannot do all its work; None when it can.
        database_error_since: since when, as a UTC time.
        recent_failures: the last failures, newest last.
        unrecorded_exits: how many exit records the recorder has not confirmed.
        began: when it was started, in seconds of the monotonic clock.
        began_at: the same as a UTC time.
        counters: the numbers of events since then.
    """

    config: Config
    run: str
    generation: int = 1
    ready: bool = False
    stopping: bool = False
    reloading: bool = False
    paused: bool = False
    database_error: str | None = None
    database_error_since: datetime | None = None
    recent_failures: deque[dict[str, Any]] = field(
        default_factory=lambda: deque(maxlen=_MOST_FAILURES)
    )
    unrecorded_exits: int = 0
    began: float = field(default_factory=time.monotonic)
    began_at: datetime = field(default_factory=lambda: datetime.now(UTC))
    counters: Counters = field(default_factory=Counters)

    @property
    def start_deadline(self) -> float:
        """Return when a start has failed, in seconds of the monotonic clock."""
        return self.began + self.config.daemon.start_timeout

    @property
    def state(self) -> str:
        """Return the state: starting, running, reloading, paused, degraded or stopping."""
        if self.stopping:
            return "stopping"
        if not self.ready:
            return "starting"
        if self.database_error:
            return "degraded"
        if self.paused:
            return "paused"
        return "reloading" if self.reloading else "running"

    @property
    def summary_line(self) -> str:
        """Return one line for `systemctl status`."""
        sizes = ", ".join(f"{pool.name} {pool.size}" for pool in self.config.pools)
        why = f": {self.database_error}" if self.database_error else ""
        return f"{self.state}{why}; pools: {sizes}"

    def note_database_error(self, database_error: str | None) -> bool:
        """Set why the daemon cannot do all its work; return True when that has changed."""
        database_error = mask_passwords(database_error)
        if database_error == self.database_error:
            return False
        if not (database_error and self.database_error):
            self.database_error_since = datetime.now(UTC) if database_error else None
        self.database_error = database_error
        return True

    def note_failure(self, slot: Slot, last: Report, record: ExitRecord) -> None:
        """Count and keep a child's failure; that of a canary is in the log only."""
        if slot.canary and last.activity < Activity.IDLE:
            return
        self.counters.restarts += not slot.retired
        self._note(
            slot.name,
            str(record.cause),
            {
                "job_id": last.job_id or None,
                "job": last.job_name or None,
                "attempt": last.attempt or None,
                "execution": last.execution or None,
                **{name: getattr(record, name) for name in _FAILURE_FIELDS},
                "status": None,
            },
        )

    def note_interrupted(self, slot_name: str, message: Mapping[str, Any]) -> None:
        """Count and keep a job that the daemon has interrupted."""
        cause = message["interrupted"]
        if cause in _INTERRUPTING:
            process = dict.fromkeys(_FAILURE_FIELDS) | {"late": 0.0, "killed": 0}
            self._note(slot_name, cause, {**_JOB_FIELDS, **process, **message, "cause": cause})

    def _note(self, slot_name: str, cause: str, entry: dict[str, Any]) -> None:
        counter = _COUNTER_OF.get(cause, cause)
        setattr(self.counters, counter, getattr(self.counters, counter) + 1)
        entry.pop("interrupted", None)
        at = datetime.now(UTC).isoformat(timespec="milliseconds")
        self.recent_failures.append({"at": at, "slot": slot_name, **entry})

    def note_settled(self, message: Mapping[str, Any]) -> None:
        """Set the status of the job whose failure the recorder has settled."""
        for entry in self.recent_failures:
            if entry["execution"] and entry["execution"] == message.get("execution"):
                entry["status"] = message.get("status")


def status(daemon_status: DaemonStatus, children: Children) -> dict[str, Any]:
    """Return the answer to `gigqd status`."""
    config = daemon_status.config
    return {
        "ok": True,
        "state": daemon_status.state,
        "reason": daemon_status.database_error,
        "degraded_since": _iso(daemon_status.database_error_since),
        "paused": daemon_status.paused,
        "name": config.daemon.name,
        "pid": os.getpid(),
        "version": __version__,
        "started_at": daemon_status.began_at.isoformat(timespec="seconds"),
        "uptime": round(time.monotonic() - daemon_status.began, 3),
        "generation": daemon_status.generation,
        "run": daemon_status.run,
        "config": str(config.source) if config.source else None,
        "database": mask_passwords(config.queue.database),
        "pools": [{"name": pool.name, "size": pool.size} for pool in config.pools],
        "slots": _slots(children),
        "counters": _counters(daemon_status.counters, children),
        "unrecorded_exits": daemon_status.unrecorded_exits,
        "open_breakers": children.restarts.open_breakers(),
        "recent_failures": list(daemon_status.recent_failures),
    }


def _iso(when: datetime | None) -> str | None:
    return when.isoformat(timespec="seconds") if when else None


def _counters(counters: Counters, children: Children) -> dict[str, int]:
    """Return the counters, including those of the living workers."""
    alive = sum(child.cell.read().settled for child in children.children())
    return {**asdict(counters), "settled": counters.settled + alive}


def _slots(children: Children) -> list[dict[str, Any]]:
    """Return one entry for each slot, the recorder first."""
    now = time.monotonic()
    return [_slot(slot, children.child_in(slot), now) for slot in children.slots.values()]


def _slot(slot: Slot, child: Child | None, now: float) -> dict[str, Any]:
    last = child.cell.read() if child else Report()
    return {
        "slot": slot.name,
        "pool": slot.pool or None,
        "role": "recorder" if slot.name == RECORDER else "worker",
        "pid": child.pid if child else None,
        "state": _state(slot, last),
        "since": round(now - slot.since, 3) if slot.since else None,
        **_job(last, now),
        "rss": _resident(child.pid) if child else None,
        "memory": _peak_memory(child, last),
        "memory_limit": last.memory_limit or None,
        "jobs_done": last.settled,
        "generation": slot.generation,
        "configuration": child.generation if child else None,
        "restarts": slot.restarts,
        "last_exit": slot.last_exit or None,
    }


def _job(last: Report, now: float) -> dict[str, Any]:
    """Return the job of a worker; every value is None when it runs none."""
    names = ("job_id", "job", "attempt", "execution", "elapsed", "timeout")
    if last.activity not in (Activity.BUSY, Activity.SETTLING):
        return dict.fromkeys(names)
    limit = round(last.deadline - last.since, 3) if last.deadline else None
    elapsed = round(now - last.since, 3)
    values = (last.job_id, last.job_name, last.attempt, last.execution, elapsed, limit)
    return dict(zip(names, values, strict=True))


def _state(slot: Slot, last: Report) -> str:
    """Return the slot's phase; for a child that is up, its activity."""
    if slot.phase is not Phase.UP:
        return str(slot.phase)
    return "draining" if slot.leaving else last.activity.name.lower()


def _peak_memory(child: Child | None, last: Report) -> int | None:
    """Return the peak memory that was measured for the running job's tree, in bytes."""
    if (
        child is None
        or last.activity is not Activity.BUSY
        or child.resource_use.number != last.started
    ):
        return None
    return child.resource_use.memory


def _resident(pid: int) -> int | None:
    """Return a process's resident memory in bytes; None when it is gone."""
    try:
        return syscalls.read_process(pid).memory
    except ProcessLookupError:
        return None
