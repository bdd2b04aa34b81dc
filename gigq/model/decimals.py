"""Decimals, as drivers of PostgreSQL return NUMERIC columns."""

from __future__ import annotations

import sys
from typing import Any


def plain_number(value: Any) -> Any:
    """Return an int or a float in place of a `Decimal`, and other values as they are."""
    decimal = sys.modules.get("decimal")  # a process that has not loaded it has no such value
    if decimal is None or not isinstance(value, decimal.Decimal):
        return value
    is_whole = value.is_finite() and value == value.to_integral_value()
    return int(value) if is_whole else float(value)
