"""Pure arithmetic on what was measured: medians, quantiles, ratios, and how they are written."""

from __future__ import annotations

import statistics
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

UNKNOWN = "-"


def quantile(values: Sequence[float], share: float) -> float:
    """The smallest value that at least this share of them does not exceed."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]


def median(values: Sequence[float]) -> float:
    """The middle one."""
    return float(statistics.median(values))


def medians(rounds: Sequence[Mapping[str, float]]) -> dict[str, float]:
    """The median of each figure over the rounds that have it."""
    names = dict.fromkeys(name for found in rounds for name in found)
    return {name: median([found[name] for found in rounds if name in found]) for name in names}


def ratio(own: float | None, other: float | None, *, more_is_better: bool) -> float | None:
    """How many times better `own` is than `other`; None when one is missing or zero."""
    if not own or not other:
        return None
    return own / other if more_is_better else other / own


def spread(jobs: Sequence[int]) -> float:
    """How far the busiest and the laziest worker are from the mean, as a share of it."""
    mean = sum(jobs) / len(jobs) if jobs else 0
    return max(abs(count - mean) for count in jobs) / mean if mean else 0.0


def written(value: float | None) -> str:
    """A figure with three digits that count, and commas."""
    if value is None:
        return UNKNOWN
    if value == 0:
        return "0"
    if abs(value) >= 100:
        return f"{value:,.0f}"
    if abs(value) >= 10:
        return f"{value:.1f}"
    return f"{value:.2f}" if abs(value) >= 0.1 else f"{value:.3f}"


def counted(value: float | None) -> str:
    """A number of things, with commas."""
    return UNKNOWN if value is None else f"{value:,.0f}"


def table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table in Markdown; all columns but the first are aligned to the right."""
    rule = ["---", *["---:"] * (len(heads) - 1)]
    cells = [heads, rule, *[[cell.replace("|", "\\|") for cell in row] for row in rows]]
    return "\n".join(f"| {' | '.join(row)} |" for row in cells) + "\n"
