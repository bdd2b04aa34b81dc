"""The plan of faults: everything that chance decides about them, drawn before the run begins."""

from __future__ import annotations

from dataclasses import dataclass
from random import Random
from types import MappingProxyType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

_PACE = 0.8

FILE_DECK = {
    ("kill", "worker"): 10,
    ("term", "worker"): 1,
    ("freeze", "worker"): 4,
    ("kill", "recorder"): 3,
    ("freeze", "recorder"): 2,
    ("kill", "supervisor"): 5,
    ("freeze", "supervisor"): 2,
    ("starve", "supervisor"): 2,
    ("starve", "recorder"): 1,
    ("kill", "submitter"): 4,
    ("lock", "database"): 4,
    ("siege", "database"): 2,
    ("fill", "disk"): 3,
    ("reload", "daemon"): 3,
    ("reload-broken", "daemon"): 1,
    ("bounce", "daemon"): 2,
    ("rival", "daemon"): 1,
    ("other-project", "daemon"): 2,
    ("delete", "daemon"): 2,
    ("kill", "neighbour"): 3,
    ("bounce", "neighbour"): 1,
    ("restore", "database"): 1,
    ("look", "database"): 3,
}
"""How often each fault is in the deck. It is shuffled again when it is empty."""

_OF_FILES = {("fill", "disk"), ("restore", "database")}
SESSION_DECK = {card: count for card, count in FILE_DECK.items() if card not in _OF_FILES} | {
    ("lock-rows", "server"): 3,
    ("terminate", "server"): 5,
}
"""The same with PostgreSQL: its sessions have faults instead of files."""

SERVER_DECK = SESSION_DECK | {
    ("restart", "server"): 4,
    ("outage", "server"): 2,
    ("halt", "server"): 3,
    ("read-only", "server"): 2,
    ("connections", "server"): 2,
}
"""The same when the whole server is the run's own."""

_MANY = ("many", "daemon")
_MANY_FIRST, _MANY_EVERY = 75.0, 150.0
"""When a hundred workers are made and killed at once: too much for the deck."""

_SHORTEST = {"siege": 1.5, "restore": 0.5, "outage": 1.0}
_LONGEST = {
    "freeze": 3.0,
    "starve": 3.0,
    "lock": 4.0,
    "siege": 4.0,
    "fill": 3.0,
    "restore": 2.0,
    "lock-rows": 4.0,
    "outage": 4.0,
    "halt": 3.0,
    "read-only": 4.0,
    "connections": 4.0,
}
_STARTS = ("run", "run", "two", "start")

Card = tuple[str, str]


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing to do to the daemon or to those around it.

    Attributes:
        at: when, in seconds from the beginning; later when what came before takes its time.
        what: kill, term, freeze, starve (of descriptors), lock, siege, fill, reload,
            reload-broken, bounce, rival, other-project, delete (its files), restore, look, or many
            (a hundred kills at once). With a server lock-rows, terminate (sessions), restart,
            outage (a longer restart), halt, read-only, or connections (take all).
        target: to whom.
        pick: chooses among several targets: 0 is the first, just below 1 the last.
        seconds: how long a freeze, starvation, lock or full disk lasts; how long a restored file
            takes to arrive; how long a killed or stopped daemon stays down.
        start: how the daemon comes back: run, start, or two at once of which one may win.
        now: whether a stop cuts running jobs short at once; the harsher way of other faults.
    """

    at: float
    what: str
    target: str
    pick: float
    seconds: float
    start: str
    now: bool


def plan(
    seed: int | str,
    duration: float,
    kinds: Mapping[Card, int] = FILE_DECK,
    spans: Mapping[Card, tuple[float, float]] = MappingProxyType({}),
    pace: float = _PACE,
    many_first: float = _MANY_FIRST,
) -> list[Fault]:
    """The faults of one seed, in the order of time; a longer run begins as a shorter one does.

    Args:
        seed: what chance depends on.
        duration: until when faults begin.
        kinds: how often each fault is in the deck.
        spans: the shortest and the longest time of faults that last otherwise than usual.
        pace: seconds between two faults, on average.
        many_first: when a hundred workers are killed at once for the first time.
    """
    rng = Random(f"{seed}/faults")
    faults: list[Fault] = []
    many_at = many_first
    deck: list[tuple[str, str]] = []
    at = 1.0
    while at < duration:
        if not deck:
            deck = [card for card, count in kinds.items() for _ in range(count)]
            rng.shuffle(deck)
        what, target = deck.pop() if at < many_at else _MANY
        if (what, target) == _MANY:
            many_at += _MANY_EVERY
        faults.append(
            Fault(
                at=round(at, 3),
                what=what,
                target=target,
                pick=rng.random(),
                seconds=round(rng.uniform(*spans.get((what, target), _span(what))), 3),
                start=rng.choice(_STARTS),
                now=rng.random() < 0.5,
            )
        )
        at += rng.expovariate(1 / pace)
    return faults


def _span(what: str) -> tuple[float, float]:
    return _SHORTEST.get(what, 0.1), _LONGEST.get(what, 1.0)
