"""The aims on PostgreSQL beside what one run has measured, as a table for docs/performance.md."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from bench.figures import medians, table, written

ON = "gigq_postgres"
UNMEASURED = "not measured"

Rounds = dict[str, dict[str, list[dict[str, Any]]]]
Figure = Callable[[str, str, str], float | None]


@dataclass(frozen=True, slots=True)
class Aim:
    """What one run has to show.

    Attributes:
        what: in words.
        target: the limit.
        unit: what follows the number.
        found: from the median of a figure, by scenario, queue and name, to the number.
        is_least: whether the target is the least and not the greatest number.
    """

    what: str
    target: float
    unit: str
    found: Callable[[Figure], float | None]
    is_least: bool = True

    def is_met(self, number: float) -> bool:
        """Whether a number reaches the target."""
        return number >= self.target if self.is_least else number <= self.target


def page(rounds: Rounds) -> str:
    """The table."""
    rows = []
    for aim in AIMS:
        number = aim.found(lambda *of: figure(rounds, *of))
        limit = f"{'at least' if aim.is_least else 'at most'} {aim.target:g}{aim.unit}"
        shown = UNMEASURED if number is None else f"{written(number)}{aim.unit}"
        verdict = "" if number is None else "met" if aim.is_met(number) else "missed"
        rows.append([aim.what, limit, shown, verdict])
    return table(["", "target", "result", ""], rows).replace("---:", "---")


def figure(rounds: Rounds, scenario: str, peer: str, name: str) -> float | None:
    """The median of a figure over the rounds; None when it was not measured."""
    tries = rounds.get(scenario, {}).get(peer, [])
    numbers = [{k: v for k, v in one.items() if isinstance(v, float | int)} for one in tries]
    return medians(numbers).get(name)


def times(scenario: str, peer: str) -> Callable[[Figure], float | None]:
    """How many times the rate of another queue gigq reaches."""
    return lambda of: divided(of(scenario, ON, "jobs/s"), of(scenario, peer, "jobs/s"))


def divided(own: float | None, other: float | None) -> float | None:
    """The quotient; None when one is unknown or zero."""
    return own / other if own and other else None


AIMS = (
    Aim("drain, 2 workers, beside pgqueuer", 1.5, " times", times("drain", "pgqueuer")),
    Aim("drain, 2 workers, beside procrastinate", 10, " times", times("drain", "procrastinate")),
    Aim("single submit, beside raw psycopg", 0.8, " times", times("submit", "raw_postgres")),
    Aim("submit many, beside pgqueuer", 1, " times", times("bulk", "pgqueuer")),
    Aim(
        "drain with 1,000,000 pending, beside 100,000 pending",
        0.85,
        " times",
        lambda of: divided(of("depth_1m", ON, "jobs/s"), of("depth_100k", ON, "jobs/s")),
    ),
    Aim(
        "single claim with 1,000,000 pending, beside 1,000 pending, p50",
        1.15,
        " times",
        lambda of: divided(of("depth_1m", ON, "claim p50 ms"), of("depth_1k", ON, "claim p50 ms")),
        is_least=False,
    ),
    Aim(
        "idle to start after the return of submit, p50",
        3,
        " ms",
        lambda of: of("latency", ON, "after return p50 ms"),
        is_least=False,
    ),
    Aim(
        "idle to start after the return of submit, p99",
        15,
        " ms",
        lambda of: of("latency", ON, "after return p99 ms"),
        is_least=False,
    ),
    Aim(
        "idle daemon with 4 workers",
        2,
        " queries a second",
        lambda of: of("idle_load", ON, "queries/s"),
        is_least=False,
    ),
)
