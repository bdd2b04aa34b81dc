"""A broken promise, and the words for the kinds that there are."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torture.history import Story
    from torture.ledger import Line

KINDS = {
    "lost": "accepted, and not in the database",
    "unexpected": "in the database, and never submitted",
    "refused": "submit said that nothing was stored, and it was",
    "torn": "a batch that was stored in part",
    "doubled": "ran again after its success, ended twice, or changed after its end",
    "overlapping": "two executions of one job at the same time",
    "phantom": "completed, and its function never returned, or another result is stored",
    "early": "started before its parents were done, or before its time",
    "late": "started after it had expired",
    "over-tried": "started more often than it may be",
    "cancelled-but-started": "started after cancel had said that it is cancelled",
    "survivor": "a process of an execution that is over still wrote",
    "stuck": "could have ended, and has not",
    "disagreeing": "the database and the ledger disagree",
    "corrupt": "SQLite finds the file damaged",
}
"""Every kind of violation that this module finds, and what it means."""


CLOCK = 0.001
"""Seconds by which a stored time may differ from the ledger's: both clocks are read in turn."""


@dataclass(frozen=True, slots=True)
class Violation:
    """A broken promise.

    Attributes:
        kind: which, one of KINDS.
        job: the job's id; None when it is about the whole run.
        text: what was seen.
        lines: numbers of the ledger's lines that show it.
    """

    kind: str
    job: str | None
    text: str
    lines: tuple[int, ...] = ()

    def __str__(self) -> str:
        where = f" (ledger lines {', '.join(map(str, self.lines))})" if self.lines else ""
        return f"{self.kind}: {self.job or 'the run'}: {self.text}{where}"


def of_job(kind: str, story: Story, text: str, *lines: Line) -> Violation:
    """A violation of one job, shown by some lines."""
    return Violation(kind, story.id, text, tuple(line.number for line in lines[:6]))
