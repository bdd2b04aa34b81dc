"""Lengths of time as people write them: "30s", "5m", "1h30m", "250ms"."""

from __future__ import annotations

import re

UNITS = {"d": 86_400.0, "h": 3600.0, "m": 60.0, "s": 1.0, "ms": 0.001}
"""Seconds in each unit, the largest first."""

_PART = re.compile(r"([0-9]{1,30}(?:\.[0-9]{1,30})?)\s*(ms|[dhms])\s*")


def parse(text: str) -> float | None:
    """Return the seconds that a text with units says; None when it is no such text.

    Each unit stands once at most, the larger ones first.
    """
    written = text.strip()
    parts = [*_PART.finditer(written)]
    units = [part[2] for part in parts]
    in_order = sorted(set(units), key=[*UNITS].index) == units
    if not parts or sum(len(part[0]) for part in parts) != len(written) or not in_order:
        return None
    return sum(float(part[1]) * UNITS[part[2]] for part in parts)
