"""The answer to `gigqd status` as text for a person: a headline and a table of slots."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING, Any

from gigqd.cli.terminal import table

if TYPE_CHECKING:
    from collections.abc import Mapping

_TITLES = (
    "SLOT", "PID", "STATE", "JOB", "TIME/LIMIT", "MEMORY", "JOBS", "RESTARTS", "LAST EXIT",
)  # fmt: skip
_UNITS = ((86400, "d"), (3600, "h"), (60, "m"))
_MIB = 1024 * 1024


def describe(answer: Mapping[str, Any]) -> str:
    """The whole answer."""
    rows = [_TITLES, *(_row(slot) for slot in answer["slots"])]
    return f"{_headline(answer)}\n\n{table(rows)}"


def duration(seconds: float) -> str:
    """A length of time in its two largest units: 1.4s, 2m05s, 3h12m, 4d06h."""
    if seconds < 60:
        return f"{seconds:.1f}s"
    units = [*_UNITS, (1, "s")]
    for (size, name), (next_size, next_name) in pairwise(units):
        if seconds >= size:
            rest = int(seconds % size) // next_size
            return f"{int(seconds) // size}{name}{rest:02d}{next_name}"
    return f"{seconds:.0f}s"


def _headline(answer: Mapping[str, Any]) -> str:
    name = "" if answer["name"] == "default" else f" {answer['name']}"
    reason = f": {answer['reason']}" if answer["reason"] else ""
    pools = ", ".join(f"{pool['name']} {pool['size']}" for pool in answer["pools"])
    up = f"{duration(answer['uptime'])} since {answer['started_at']}"
    lines = [
        f"gigqd{name} is {answer['state']}{reason}",
        f"  pid         {answer['pid']}, up {up}",
        f"  version     {answer['version']}, generation {answer['generation']}",
        f"  config      {answer['config'] or 'none, defaults and environment'}",
        f"  database    {answer['database']}",
        f"  pools       {pools}",
        f"  since start {_counted(answer['counters'])}",
    ]
    return "\n".join(lines)


def _counted(counters: Mapping[str, int]) -> str:
    return ", ".join(f"{count} {name.replace('_', ' ')}" for name, count in counters.items())


def _row(slot: Mapping[str, Any]) -> tuple[str, ...]:
    return (
        slot["slot"],
        _or_dash(slot["pid"]),
        slot["state"],
        _job(slot),
        _time(slot),
        f"{slot['rss'] / _MIB:.0f} MiB" if slot["rss"] else "-",
        str(slot["jobs_done"]),
        str(slot["restarts"]),
        _or_dash(slot["last_exit"]),
    )


def _job(slot: Mapping[str, Any]) -> str:
    if not slot["job_id"]:
        return "-"
    return f"{slot['job'] or slot['job_id']} (attempt {slot['attempt']})"


def _time(slot: Mapping[str, Any]) -> str:
    if slot["elapsed"] is None:
        return "-"
    limit = duration(slot["timeout"]) if slot["timeout"] else "none"
    return f"{duration(slot['elapsed'])}/{limit}"


def _or_dash(value: object) -> str:
    return "-" if value is None else str(value)
