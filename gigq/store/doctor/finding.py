"""The result of one check, and its severity."""

from __future__ import annotations

from dataclasses import dataclass

SEVERITIES = ("ok", "note", "warning", "problem")
"""From the best to the worst."""


@dataclass(frozen=True, slots=True)
class Finding:
    """The result of one check.

    Attributes:
        check: its name.
        severity: one of `SEVERITIES`.
        found: the state that was found.
        remedy: the action to take; None when none is needed.
    """

    check: str
    severity: str
    found: str
    remedy: str | None = None


def worst(findings: list[Finding]) -> str:
    """Return the worst severity among the findings."""
    return max((one.severity for one in findings), key=SEVERITIES.index, default="ok")
