"""What the run itself counts and finds wrong, beside what its checker finds afterwards."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from torture import ledger
from torture.violations import Violation

if TYPE_CHECKING:
    from pathlib import Path


@dataclass(slots=True)
class Notes:
    """The run's own notes.

    Attributes:
        ledger: the ledger, in which every fault stands, too.
        counts: how often what was done.
        worst: the largest of each kind of number, in seconds.
        problems: promises that were broken in plain sight.
        more: further fields of every fault, such as the host that it is done to.
    """

    ledger: Path
    counts: Counter[str] = field(default_factory=Counter)
    worst: dict[str, float] = field(default_factory=dict)
    problems: list[Violation] = field(default_factory=list)
    more: dict[str, Any] = field(default_factory=dict)

    def of(self, **more: Any) -> Notes:
        """The same notes, for faults with further fields."""
        return replace(self, more={**self.more, **more})

    def did(self, what: str, **fields: Any) -> None:
        """Count something that was done, and write it into the ledger."""
        self.counts[what] += 1
        ledger.note(self.ledger, "fault", name=what, **self.more, **fields)

    def took(self, what: str, seconds: float) -> None:
        """Keep a number if it is the worst of its kind."""
        self.worst[what] = max(seconds, self.worst.get(what, 0.0))

    def wrong(self, kind: str, text: str) -> None:
        """A promise was broken."""
        ledger.note(self.ledger, "problem", kind=kind, text=text)
        self.problems.append(Violation(kind, None, text))
