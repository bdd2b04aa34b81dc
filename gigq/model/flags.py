"""Truth values as text: "true" and "false", in any case."""

from __future__ import annotations

import json

_SHOWN = 60
_VALUES = {"true": True, "false": False}


def parse_flag(text: str) -> bool:
    """Return the truth value that a text names.

    Raises:
        ValueError: it names none; with a sentence.
    """
    value = _VALUES.get(text.lower())
    if value is None:
        raise ValueError(f"expected true or false, not {json.dumps(text[:_SHOWN])}")
    return value
