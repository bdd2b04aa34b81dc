"""Sets apart what a host wrote late because it was stopped, or because its supervisor was killed.

A host that wakes may find that its lease has ended and its jobs run elsewhere: its own attempts
must end within a second, and their writes must change nothing. Children of jobs that a killed
supervisor leaves are ended when the host's next daemon starts.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field, replace
from statistics import median
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

    from torture.history import History
    from torture.ledger import Line

ENDS_WITHIN = 1.0
"""Seconds from the wake of a host until the superseded attempts on it have ended."""

_MOST_PROCESSES = 1 << 22  # <linux/threads.h>
STOP, WAKE, KILL, UP = "SIGSTOP host", "wake", "SIGKILL supervisor", "up"


@dataclass
class Late:
    """Lines of superseded attempts.

    Attributes:
        woken: seconds from the wake of their host to the last line of each attempt.
        orphans: the number of attempts of which children outlived the supervisor.
    """

    woken: dict[str, float] = field(default_factory=dict)
    orphans: set[str] = field(default_factory=set)


def as_of_one_host(history: History) -> History:
    """The history with process numbers that differ, and calendar times by one clock.

    The clock of a host may be wrong and jump, but the monotonic clock is that of the run itself.
    """
    hosts = _hosts(history)
    numbers = {host: number for number, host in enumerate(sorted({*hosts.values()}), 1)}
    began = median([n.wall - n.at for n in history.lines if str(n.execution) not in hosts] or [0.0])

    def seen_from_outside(line: Line) -> Line:
        host = hosts.get(str(line.execution))
        if host is None:
            return line
        pid = line.pid + numbers[host] * _MOST_PROCESSES
        return replace(line, pid=pid, wall=began + line.at)

    return replace(history, lines=[seen_from_outside(line) for line in history.lines])


def set_apart(history: History) -> tuple[History, Late]:
    """The history without what may be late, and what that is."""
    late = Late()
    hosts = _hosts(history)
    stops, kills = _spans(history, STOP, WAKE), _spans(history, KILL, UP)
    without_success = {e.id: e for e in history.executions if e.status != "completed"}
    kept = []
    for line in history.lines:
        name = str(line.execution)
        one = without_success.get(name)
        host = hosts.get(name, "")
        if one is None or one.completed_at is None or line.wall <= one.completed_at:
            kept.append(line)
        elif (woke := _woke(stops[host], one.started_at, line.wall)) is not None:
            late.woken[name] = max(late.woken.get(name, 0.0), line.wall - woke)
        elif line.what == "child" and _is_orphan(kills[host], one.started_at, line.wall):
            late.orphans.add(name)
        else:
            kept.append(line)
    return replace(history, lines=kept), late


def _woke(stops: list[tuple[float, float]], claimed: float, at: float) -> float | None:
    """When the host woke, if that was just before a line of an attempt that was claimed before."""
    for stopped, woke in stops:
        if claimed <= woke and stopped <= at <= woke + ENDS_WITHIN:
            return woke
    return None


def _is_orphan(kills: list[tuple[float, float]], claimed: float, at: float) -> bool:
    # The note of a kill is older than the kill: a job may be claimed between the two.
    return any(claimed <= up and killed <= at <= up for killed, up in kills)


def _spans(history: History, first: str, last: str) -> dict[str, list[tuple[float, float]]]:
    """Of each host the times from one note to the next one that belongs to it."""
    open_: dict[str, float] = {}
    found: dict[str, list[tuple[float, float]]] = defaultdict(list)
    for what, host, at in _notes(history):
        if what == first:
            open_.setdefault(host, at)
        elif what == last and host in open_:
            found[host].append((open_.pop(host), at))
    for host, at in open_.items():
        found[host].append((at, float("inf")))
    return found


def _notes(history: History) -> Iterator[tuple[str, str, float]]:
    for line in history.lines:
        if line.what in ("fault", WAKE, UP) and "host" in line.data:
            yield str(line.data.get("name", line.what)), str(line.data["host"]), line.wall


def _hosts(history: History) -> dict[str, str]:
    """The host on which each execution ran."""
    return {
        str(line.execution): str(line.data["host"])
        for line in history.lines
        if line.what == "start" and "host" in line.data
    }
