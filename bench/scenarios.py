"""What is measured of every queue. Each scenario begins with an empty store."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from bench.figures import quantile, spread
from bench.server_load import queries_per_second

if TYPE_CHECKING:
    from collections.abc import Callable

    from bench.session import Session

Found = dict[str, float | str]


@dataclass(frozen=True, slots=True)
class Effort:
    """How much is done, by whether the run is to be short.

    Attributes:
        seconds: about how long a drain or a series of submissions lasts, and its limit doubled.
        latencies: how many latencies are measured.
        idle: seconds of looking at an idle pool.
        deep: the greatest number of jobs to fill a queue with.
        steps: jobs of a workflow.
        fill: seconds that filling a queue may take.
        gap: the least and the longest pause between two latencies, in seconds.
    """

    seconds: float = 2.0
    latencies: int = 150
    idle: float = 10.0
    deep: int = 1_000_000
    steps: int = 10_000
    fill: float = 15.0
    gap: tuple[float, float] = (0.004, 0.016)


SHORT = Effort(seconds=0.5, latencies=40, idle=3.0, deep=100_000, steps=1_000, fill=5.0)
WORKERS = 2
SETTLE_SECONDS = 10.0
WARM_SECONDS = 30.0
PAUSE = 0.02


def submit(s: Session, effort: Effort) -> Found:
    """Submit one at a time, without workers."""
    took = s.ask("submit", kind="noop", count=100_000, seconds=effort.seconds)
    return {
        "jobs/s": len(took) / (sum(took) / 1e9),
        "p50 ms": quantile(took, 0.5) / 1e6,
        "p99 ms": quantile(took, 0.99) / 1e6,
    }


def bulk(s: Session, effort: Effort) -> Found:
    """Submit many at once, without workers."""
    count = min(int(s.peer.bulk * effort.seconds), 100_000)
    done, took = s.ask("submit_many", kind="noop", count=count, seconds=2 * effort.fill, limit=120)
    return {"jobs/s": done / took, "jobs": done}


def drain(s: Session, effort: Effort, workers: int = WORKERS) -> Found:
    """Jobs that do nothing lie there; start workers and wait until all are done."""
    count = int(s.peer.pace * effort.seconds)
    _fill(s, "noop", count, effort)
    return _drained(s, count, workers, effort)


def drain8(s: Session, effort: Effort) -> Found:
    """The same with eight workers."""
    return drain(s, effort, workers=8)


def sleep10(s: Session, effort: Effort) -> Found:
    """Jobs of 10 ms: what they take more than that, and the share of the ideal."""
    count = int(min(WORKERS * 90, s.peer.pace) * effort.seconds)
    s.start(WORKERS)
    _warm(s)
    s.board.reset()
    _fill(s, "sleep10", count, effort)
    s.wait_for(WORKERS, SETTLE_SECONDS)
    began, before = time.monotonic(), s.board.jobs()
    s.wait_for(count, 4 * effort.seconds)
    rate = (s.board.jobs() - before) / (time.monotonic() - began)
    return {"share of ideal": rate * 0.010 / WORKERS, "overhead ms": (WORKERS / rate - 0.01) * 1000}


def latency(s: Session, effort: Effort, gap: tuple[float, float] | None = None) -> Found:
    """From `submit()` into an idle pool to the first line of the function."""
    s.start(WORKERS)
    _warm(s)
    found = s.ask(
        "latency",
        count=effort.latencies,
        seconds=4 * effort.seconds,
        gap=gap or effort.gap,
        limit=60,
    )
    whole, after = [call for call, _ in found], [late for _, late in found]
    return {
        "after return p50 ms": quantile(after, 0.5) / 1e6,
        "after return p99 ms": quantile(after, 0.99) / 1e6,
        "whole p50 ms": quantile(whole, 0.5) / 1e6,
        "whole p99 ms": quantile(whole, 0.99) / 1e6,
        "samples": len(found),
    }


def latency_paced(s: Session, effort: Effort) -> Found:
    """The same with a pause of 5 to 25 ms after each job."""
    return latency(s, replace(effort, latencies=300), gap=(0.005, 0.025))


def later(s: Session, effort: Effort, *, busy: bool = False) -> Found:
    """From the time of a delayed job to the first line of its function, in an idle pool."""
    if not _can(s, "submit_later"):
        return {"stopped": "not measured"}
    s.start(WORKERS)
    _warm(s)
    found = s.ask("lateness", count=effort.latencies, busy=busy, seconds=20.0, limit=90)
    return {
        "p50 ms": quantile(found, 0.5) / 1e6,
        "p99 ms": quantile(found, 0.99) / 1e6,
        "worst ms": max(found) / 1e6,
        "earliest ms": min(found) / 1e6,
        "samples": len(found),
    }


def later_busy(s: Session, effort: Effort) -> Found:
    """The same while jobs of 10 ms keep the two workers busy for half of the time."""
    return later(s, effort, busy=True)


def load(s: Session, effort: Effort) -> Found:
    """Submit now and then while two workers drain without pause."""
    count = int(s.peer.pace * effort.seconds * 3)
    _fill(s, "noop", count, effort)
    s.start(WORKERS)
    if not s.wait_for(WORKERS, SETTLE_SECONDS):
        return {"stopped": f"no job ran within {SETTLE_SECONDS:g} s"}
    _wait_for_cells(s, WORKERS)
    s.board.reset()
    took = s.ask("submit", kind="noop", count=10_000, seconds=effort.seconds, pause=0.001)
    per_worker = _per_worker(s)
    return {
        "p50 ms": quantile(took, 0.5) / 1e6,
        "p99 ms": quantile(took, 0.99) / 1e6,
        "worst ms": max(took) / 1e6,
        "spread %": 100 * spread(per_worker) if len(per_worker) > 1 else 100.0,
        "samples": len(took),
        "busy to the end": str(s.board.jobs() < count),
    }


def idle(s: Session, effort: Effort, workers: int = WORKERS) -> Found:
    """What the whole pool and its server take while nothing happens."""
    s.start(workers)
    _warm(s)
    time.sleep(min(2.0, effort.idle))
    before, began = _processor_ns(s), time.monotonic()
    time.sleep(effort.idle)
    used = (_processor_ns(s) - before) / 1e9 / (time.monotonic() - began)
    memory = [process.memory_full_info().pss for process in s.processes()]
    return {"CPU s/h": used * 3600, "PSS MB": sum(memory) / 1e6, "processes": len(memory)}


def idle4(s: Session, effort: Effort) -> Found:
    """The same with four workers."""
    return idle(s, effort, workers=4)


def idle_load(s: Session, effort: Effort) -> Found:
    """What four workers ask their server while nothing happens."""
    s.start(4)
    _warm(s)
    time.sleep(min(2.0, effort.idle))
    return {"queries/s": queries_per_second(s.address, s.folder / "server" / "log", effort.idle)}


def startup(s: Session, effort: Effort) -> Found:  # noqa: ARG001 - as every scenario
    """From the command that starts the workers to the first line of a job that lies there."""
    s.ask("submit", kind="noop", count=1, seconds=5)
    began = time.monotonic_ns()
    s.start(WORKERS)
    if not s.wait_for(1, SETTLE_SECONDS):
        return {"stopped": f"no job ran within {SETTLE_SECONDS:g} s"}
    return {"ms": (s.board.first() - began) / 1e6}


def _depth(s: Session, effort: Effort, pending: int) -> Found:
    """Drain at a depth: so many lie there."""
    if pending > effort.deep:
        return {"stopped": "left out of a short run"}
    patience = effort.fill * (1 if pending <= 100_000 else 3)
    if s.peer.bulk * patience * 1.5 < pending:
        return {"stopped": f"not tried: filling takes longer than {patience:.0f} s"}
    done, took = s.ask("submit_many", kind="noop", count=pending, seconds=patience, limit=200)
    if done < pending:
        return {"stopped": f"filling stopped after {took:.0f} s at {done:,} jobs"}
    found: Found = {}
    if _can(s, "claims"):
        claims = s.ask("extra", name="claims", count=200, limit=60)
        found = {
            "claim p50 ms": quantile(claims, 0.5) / 1e6,
            "claim p99 ms": quantile(claims, 0.99) / 1e6,
        }
        found |= s.ask("extra", name="looks", limit=60)
    return (
        _drained(s, min(pending - 200, int(s.peer.pace * effort.seconds)), WORKERS, effort) | found
    )


def depth_1k(s: Session, effort: Effort) -> Found:
    """Drain and claim with a thousand pending."""
    return _depth(s, effort, 1_000)


def depth_100k(s: Session, effort: Effort) -> Found:
    """With a hundred thousand pending."""
    return _depth(s, effort, 100_000)


def depth_1m(s: Session, effort: Effort) -> Found:
    """With a million pending."""
    return _depth(s, effort, 1_000_000)


def finished_1m(s: Session, effort: Effort) -> Found:
    """A million finished jobs are kept, and some are pending."""
    if not _can(s, "claims"):
        return {"stopped": "only measured for queues that keep finished jobs as rows"}
    count = min(effort.deep, 1_000_000)
    s.ask("submit_many", kind="noop", count=count, seconds=effort.fill * 3, limit=200)
    s.ask("extra", name="finish_all", limit=200)
    return _depth(s, effort, 10_000) | {"finished": count}


def chain(s: Session, effort: Effort) -> Found:
    """Jobs that each wait for the one before."""
    return _workflow(s, effort, "chain", effort.steps)


def fan(s: Session, effort: Effort) -> Found:
    """One job, then half of the steps beside each other, then one that waits for all of these."""
    return _workflow(s, effort, "fan", effort.steps // 2 + 2)


def _workflow(s: Session, effort: Effort, shape: str, count: int) -> Found:
    if not _can(s, "workflow"):
        return {"stopped": "has no dependencies that are stored with the jobs"}
    took = s.ask("extra", name="workflow", shape=shape, count=count, limit=120)
    submitted = {"submit jobs/s": count / took}
    linked = _drained(s, count, WORKERS, effort)
    s.stop()
    s.board.reset()
    _fill(s, "noop", count, effort)
    beside = _drained(s, count, WORKERS, effort)
    both = [found.get("jobs/s") for found in (linked, beside)]
    if not all(isinstance(rate, float) for rate in both):
        return linked
    return {**linked, **submitted, "independent jobs/s": both[1], "cost": both[1] / both[0]}  # type: ignore[operator, dict-item]


def _fill(s: Session, kind: str, count: int, effort: Effort) -> None:
    s.ask("submit_many", kind=kind, count=count, seconds=effort.fill, limit=2 * effort.fill + 30)


def _drained(s: Session, count: int, workers: int, effort: Effort) -> Found:
    """Start workers and take the rate from the first job to the last, or to the limit."""
    s.start(workers)
    if not s.wait_for(1, SETTLE_SECONDS):
        return {"stopped": f"no job ran within {SETTLE_SECONDS:g} s"}
    limit = 4 * effort.seconds
    done = s.wait_for(count, limit)
    ended, jobs = time.monotonic_ns(), s.board.jobs()
    seconds = (ended - s.board.first()) / 1e9
    found: Found = {"jobs/s": jobs / seconds, "jobs": jobs}
    if not done:
        found["stopped"] = f"stopped after {seconds:.1f} s: rate {jobs / seconds:,.1f}"
    return found


def _wait_for_cells(s: Session, workers: int) -> None:
    """Wait until each worker has run a job, within reason."""
    end = time.monotonic() + 1.0
    while len(s.board.cells()) < workers and time.monotonic() < end:
        time.sleep(0.001)


def _warm(s: Session) -> None:
    """Have each worker import what it needs."""
    s.ask("submit", kind="noop", count=4 * WORKERS, seconds=5, pause=PAUSE)
    s.wait_for(4 * WORKERS, WARM_SECONDS)
    time.sleep(0.3)


def _per_worker(s: Session) -> list[int]:
    """Jobs per worker. One that forks for each job is the parent of many."""
    cells = [cell for cell in s.board.cells() if cell.jobs]
    forking = len(cells) > 2 * WORKERS
    found: dict[int, int] = {}
    for cell in cells:
        who = cell.parent if forking else cell.pid
        found[who] = found.get(who, 0) + cell.jobs
    return list(found.values())


def _processor_ns(s: Session) -> int:
    total = 0
    for process in s.processes():
        for task in process.threads():
            with open(f"/proc/{process.pid}/task/{task.id}/schedstat") as file:  # noqa: PTH123
                total += int(file.read().split()[0])
    return total


def _can(s: Session, name: str) -> bool:
    """Whether a queue's adapter has something that not all have."""
    return bool(s.ask("can", name=name))


SCENARIOS: dict[str, Callable[[Session, Effort], Found]] = {
    f.__name__: f
    for f in (
        submit, bulk, drain, drain8, sleep10, latency, latency_paced, later, later_busy, load,
        idle, idle4, idle_load, startup, depth_1k, depth_100k, depth_1m, finished_1m, chain, fan,
    )
}  # fmt: skip
ONCE = {
    "idle",
    "idle4",
    "idle_load",
    "depth_1k",
    "depth_100k",
    "depth_1m",
    "finished_1m",
    "chain",
    "fan",
}
FULL_TOO = {"submit", "drain", "drain8", "sleep10", "load"}
ONLY_OURS = {"drain8", "idle4", "finished_1m", "chain", "fan"}
ONLY_ON_SERVER = ("latency_paced", "idle_load")
"""Those that show what a queue asks of its server, and how it limits that."""

ON_POSTGRES = (
    *("drain", "submit", "bulk", "drain8", "latency", "latency_paced", "idle_load"),
    *("depth_1k", "depth_100k", "depth_1m"),
)
"""The scenarios of a run on PostgreSQL."""

FOR_FLOOR = {"submit", "bulk", "drain", "drain8", "depth_1k", "depth_100k", "depth_1m"}
"""Those of the workers that have no notifications."""
