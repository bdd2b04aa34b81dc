"""JSON for other programs, without the numbers that JSON does not have."""

from __future__ import annotations

import json
import math
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable


def strict_json(
    value: object, indent: int | None = None, default: Callable[[Any], Any] | None = None
) -> str:
    """Return JSON that every reader accepts: NaN and infinities become the texts of their names.

    Args:
        value: the value to encode; its dicts have text keys.
        indent: as for `json.dumps`.
        default: as for `json.dumps`; converts a value that is not JSON.
    """
    try:
        return json.dumps(value, indent=indent, default=default, allow_nan=False)
    except ValueError:
        return json.dumps(_finite(value), indent=indent, default=default, allow_nan=False)


def _finite(value: object) -> object:
    if isinstance(value, float) and not math.isfinite(value):
        return json.dumps(value)
    if isinstance(value, dict):
        return {key: _finite(item) for key, item in value.items()}
    return [_finite(item) for item in value] if isinstance(value, list | tuple) else value
