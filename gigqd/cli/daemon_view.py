"""The output of `gigqd status`: a headline, the slots, the recent failures.

A command may be newer than the daemon, so keys of newer daemons are optional.
"""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Any

from gigq.cli import table
from gigq.model.units import format_duration, format_size
from gigq.terminal import short_id

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

_SLOT_TITLES = (
    "SLOT", "PID", "STATE", "JOB", "ID", "TIME/LIMIT", "MEMORY", "JOBS", "RESTARTS",
    "LAST EXIT",
)  # fmt: skip
_FAILURE_TITLES = (
    "AT", "SLOT", "CAUSE", "ENDED BY", "JOB", "ID", "RAN", "CPU", "PEAK", "OUTCOME",
)  # fmt: skip
_SLOTS_ELASTIC = {"SLOT": 10, "JOB": 20, "LAST EXIT": 12}
_SLOTS_DROPPABLE = ("MEMORY", "ID", "PID", "RESTARTS", "JOBS")
_FAILURES_ELASTIC = {"SLOT": 10, "JOB": 18, "ENDED BY": 12}
_FAILURES_DROPPABLE = ("ID", "RAN", "PEAK", "CPU")
_FAILURES_SHOWN = 5
_DATE, _ZONE = len("2026-"), len("2026-11-23 19:09:12")


def describe(answer: Mapping[str, Any], width: int | None = None) -> str:
    """Return the answer of a daemon as text.

    Args:
        answer: the daemon's answer.
        width: the terminal's width; None to cut nothing.
    """
    fit = table.Fit(width, _SLOTS_ELASTIC, _SLOTS_DROPPABLE) if width else None
    columns = _slot_columns(answer["slots"])
    rows = [*zip(*columns.values(), strict=True)]
    slots = table.table([*columns], rows, fit=fit, boxed=False)
    parts = ["\n".join(_head(answer)), slots]
    newest = list(reversed(answer.get("recent_failures", [])))
    if newest:
        shown = newest[:_FAILURES_SHOWN]
        title = f"recent failures ({len(shown)} of {len(newest)}, `gigqd status --json` has all)"
        rows = [_recent_failure(failure, short=width is not None) for failure in shown]
        fit = table.Fit(width, _FAILURES_ELASTIC, _FAILURES_DROPPABLE) if width else None
        parts.append(f"{title}\n{table.table(_FAILURE_TITLES, rows, fit=fit, boxed=False)}")
    return "\n\n".join(parts)


def job_of(slot: Mapping[str, Any]) -> str:
    """Return the job of a slot or of a failure; a dash when there is none."""
    if not slot["job_id"]:
        return "-"
    return f"{slot['job'] or slot['job_id']} (attempt {slot['attempt']})"


def _id(row: Mapping[str, Any]) -> str:
    return short_id(row["job_id"]) if row["job_id"] else "-"


def _head(answer: Mapping[str, Any]) -> Iterator[str]:
    pools = ", ".join(f"{pool['name']} {pool['size']}" for pool in answer["pools"])
    yield _headline(answer)
    uptime = format_duration(answer["uptime"])
    yield f"  pid         {answer['pid']}, up {uptime} since {_time(answer['started_at'])}"
    yield f"  version     {answer['version']}, generation {answer['generation']}"
    yield f"  config      {answer['config'] or 'none, defaults and environment'}"
    yield f"  database    {answer['database']}"
    yield f"  pools       {pools}"
    yield f"  since start {_counted(answer['counters'])}"
    if answer.get("unrecorded_exits"):
        yield f"  unrecorded  {answer['unrecorded_exits']} failures wait to be recorded"
    if answer.get("open_breakers"):
        pools = ", ".join(answer["open_breakers"])
        yield f"  held back   {pools}: workers cannot boot, one is tried"


def _headline(answer: Mapping[str, Any]) -> str:
    name = "" if answer["name"] == "default" else f" {answer['name']}"
    since = f" (since {_time(answer['degraded_since'])})" if answer.get("degraded_since") else ""
    reason = f": {answer['reason']}{since}" if answer["reason"] else ""
    also = ", and paused" if answer.get("paused") and answer["state"] != "paused" else ""
    hint = ": it starts no jobs until `gigqd resume`" if answer["state"] == "paused" else ""
    return f"gigqd{name} is {answer['state']}{also}{reason}{hint}"


def _counted(counters: Mapping[str, int]) -> str:
    """Return the usual counters, and the others that are not 0."""
    usual = ("settled", "timeouts", "crashes", "restarts", "reloads")
    shown = [name for name, count in counters.items() if count or name in usual]
    return ", ".join(f"{counters[name]} {name.replace('_', ' ')}" for name in shown)


def _time(stored: str) -> str:
    """Return a time in this machine's zone, with the zone."""
    return datetime.fromisoformat(stored).astimezone().isoformat(" ", "seconds")


def _slot_columns(slots: list[Mapping[str, Any]]) -> dict[str, tuple[str, ...]]:
    """Return the texts of each column; without a job in any slot there is no column of ids."""
    rows = [*map(_slot, slots)]
    columns = {title: tuple(row[i] for row in rows) for i, title in enumerate(_SLOT_TITLES)}
    if not any(slot["job_id"] for slot in slots):
        del columns["ID"]
    return columns


def _slot(slot: Mapping[str, Any]) -> tuple[str, ...]:
    return (
        slot["slot"],
        _or_dash(slot["pid"]),
        slot["state"],
        job_of(slot),
        _id(slot),
        _elapsed(slot),
        _memory(slot),
        str(slot["jobs_done"]),
        str(slot["restarts"]),
        _or_dash(slot["last_exit"]),
    )


def _elapsed(slot: Mapping[str, Any]) -> str:
    if slot["elapsed"] is None:
        return "-"
    limit = format_duration(slot["timeout"]) if slot["timeout"] else "none"
    return f"{format_duration(slot['elapsed'])}/{limit}"


def _memory(slot: Mapping[str, Any]) -> str:
    """Return the memory of the process tree, or else of the worker alone, and its limit."""
    used, limit = slot.get("memory") or slot["rss"], slot.get("memory_limit")
    return f"{_size(used)}/{_size(limit)}" if limit else _size(used)


def _recent_failure(failure: Mapping[str, Any], *, short: bool) -> tuple[str, ...]:
    killed = f", {failure['killed']} killed" if failure["killed"] else ""
    late = f", {format_duration(failure['late'])} late" if failure["late"] else ""
    code = failure["exit_code"]
    how = failure["signal"] or ("interrupted" if code is None else f"exit {code}")
    return (
        _time(failure["at"])[_DATE:_ZONE] if short else _time(failure["at"]),
        failure["slot"],
        failure["cause"],
        f"{how}{killed}{late}",
        job_of(failure),
        _id(failure),
        format_duration(failure["wall_time"]) if failure["wall_time"] else "-",
        format_duration(failure["cpu_time"]) if failure["cpu_time"] else "-",
        _size(failure["peak_memory"]),
        _or_dash(failure["status"]),
    )


def _size(count: int | None) -> str:
    return format_size(count) if count else "-"


def _or_dash(value: object) -> str:
    return "-" if value is None else str(value)
