"""Facts about a queue, the same for each kind of database."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Mapping

BUDGET = 0.3
"""Seconds that counting jobs may take; counts that are not ready by then stay unknown."""

COUNTS = {
    "delayed": "number_of_delayed",
    "waiting": "number_of_dependents",
    "due": "number_of_due",
    "total": "number_of_jobs",
}
"""The statements that count jobs, the quick ones first."""


@dataclass(frozen=True, slots=True)
class Waiting:
    """The due jobs of one queue.

    Attributes:
        queue: its name.
        since: the time since which the first of them are due.
    """

    queue: str
    since: str


class Queue(Protocol):
    """The content of a queue."""

    @property
    def paused(self) -> Mapping[str, str]:
        """The times of the pauses by queue; none when unknown."""

    @property
    def unknown(self) -> tuple[str, ...]:
        """The functions that daemons have not found, with their hosts."""

    @property
    def schema(self) -> int:
        """The version of its schema, 0 for tables that gigq has not made."""

    @property
    def counts(self) -> Mapping[str, int]:
        """Number of jobs by state, of the states that were counted in the time for it."""

    @property
    def waiting(self) -> tuple[Waiting, ...] | None:
        """The due jobs of each queue; None when unknown."""

    @property
    def overdue_since(self) -> str | None:
        """The time of the first delayed job that is due."""


class Inspected(Protocol):
    """A queue with the processes that use it."""

    @property
    def now(self) -> str:
        """The current time, as stored text."""

    @property
    def content(self) -> Queue | None:
        """The content; None when it cannot be read."""

    @property
    def servers(self) -> Mapping[str, tuple[int, ...]] | None:
        """Processes on this host that run jobs; None when this user may not see them."""

    @property
    def is_served(self) -> bool | None:
        """True when a process runs jobs, False when none does, None when unknown."""

    @property
    def gone(self) -> int | None:
        """Number of open executions whose process has ended; None when unknown."""


def finished(counts: Mapping[str, int]) -> int:
    """Return the number of finished jobs, where all other states are counted."""
    rest = sum(number for name, number in counts.items() if name != "total")
    return max(0, counts["total"] - rest)
