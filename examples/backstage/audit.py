"""The account at the end: what must be beside what is."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from troublemakers import OVERRUN_LIMIT

from backstage.daemon import GRACE

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

LATEST = 1000.0
"""How late a kill may be, in milliseconds. On an idle machine it is some tens."""

_TREE = 4  # the worker, and three children


@dataclass(frozen=True, slots=True)
class Check:
    """One line of the account."""

    what: str
    must_be: str
    found: str
    ok: bool


@dataclass(frozen=True, slots=True)
class Evidence:
    """What was seen.

    Attributes:
        jobs: everything that the queue says of each submitted job.
        trouble: the ids of the bad jobs by name.
        stats: the queue's own counts.
        status: the daemon's last status.
        pools: how many workers there were before and after the reload.
        kill: the log's event about the end of the job that overran.
        children: which of that job's children were still alive afterwards.
        index: what the last job returned.
        recount: what it should have returned.
    """

    jobs: dict[str, dict[str, Any]]
    trouble: dict[str, str]
    stats: dict[str, int]
    status: dict[str, Any]
    pools: tuple[int, int]
    kill: dict[str, Any]
    children: set[int]
    index: dict[str, Any] | None
    recount: dict[str, Any]


def audit(seen: Evidence) -> list[Check]:
    """Every check of the run itself."""
    return [*_jobs(seen), *_bad_ends(seen), *_workers(seen), *_merge(seen)]


def equal(what: str, must_be: object, found: object) -> Check:
    """A check that two things are the same."""
    return Check(what, str(must_be), str(found), must_be == found)


def table(checks: Sequence[Check]) -> str:
    """The account as text."""
    rows = [_row(check) for check in checks]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = [
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in rows
    ]
    return "\n".join(lines)


def _row(check: Check) -> tuple[str, str, str]:
    return check.what, check.found, "ok" if check.ok else f"WRONG, must be {check.must_be}"


def _jobs(seen: Evidence) -> Iterable[Check]:
    count = len(seen.jobs)
    found = Counter(job.get("status") for job in seen.jobs.values())
    attempts = [_statuses(job) for job in seen.jobs.values()]
    yield equal("jobs submitted, jobs stored", count, seen.stats["total"])
    yield equal("  completed", count - 2, found["completed"])
    yield equal("  failed", 1, found["failed"])
    yield equal("  timed out", 1, found["timeout"])
    yield equal("  neither", 0, count - sum(found[s] for s in ("completed", "failed", "timeout")))
    yield equal("  succeeded exactly once", count - 2, sum(_once(tried) for tried in attempts))
    yield equal("attempts started", count + 3, sum(map(len, attempts)))


def _bad_ends(seen: Evidence) -> Iterable[Check]:
    bad = {name: seen.jobs[job_id] for name, job_id in seen.trouble.items()}
    statuses = {name: ", ".join(_statuses(job)) for name, job in bad.items()}
    signals = ", ".join(str(execution["signal"]) for execution in _executions(bad["segfault"]))
    yield equal("overrun: its only attempt", "timeout", statuses["overrun"])
    yield equal("  processes killed", _TREE, seen.kill.get("killed"))
    yield _lateness(seen.kill)
    yield equal("  child processes alive", 0, len(seen.children))
    yield equal("segfault: its attempts", "SIGSEGV, SIGSEGV", signals)
    yield equal("fail twice: its attempts", "failed, failed, completed", statuses["fail twice"])


def _lateness(kill: dict[str, Any]) -> Check:
    late = kill.get("late_ms")
    due = OVERRUN_LIMIT + GRACE
    what = f"  killed after limit {OVERRUN_LIMIT:g} s + grace {GRACE:g} s"
    found = "never" if late is None else f"{due + late / 1000:.3f} s, {late:g} ms late"
    must_be = f"{due:.3f} s, at most {LATEST:g} ms late"
    return Check(what, must_be, found, late is not None and late <= LATEST)


def _workers(seen: Evidence) -> Iterable[Check]:
    yield equal("workers replaced after failures", 3, seen.status["counters"]["restarts"])
    yield equal("workers before, after the reload", "2, 4", "{}, {}".format(*seen.pools))


def _merge(seen: Evidence) -> Iterable[Check]:
    index = seen.index or {}
    for key, must_be in seen.recount.items():
        if key != "most_defined":
            yield equal(f"index: {key}", must_be, index.get(key))
    most = [_ranking(part.get("most_defined") or []) for part in (seen.recount, index)]
    yield equal("index: defined most often", *most)


def _ranking(pairs: Sequence[Sequence[Any]]) -> str:
    return ", ".join(f"{name} {count}" for name, count in pairs[:2])


def _executions(job: dict[str, Any]) -> list[dict[str, Any]]:
    return list(job.get("executions", []))  # none when the job is not there


def _statuses(job: dict[str, Any]) -> list[str]:
    return [execution["status"] for execution in _executions(job)]


def _once(statuses: list[str]) -> bool:
    return statuses.count("completed") == 1
