"""Making any value fit for a log line: bounded, free of secrets, and without ever raising."""

import math
import re
from collections.abc import Collection, Mapping
from functools import lru_cache
from itertools import islice
from typing import Any

from gigq.url_passwords import MASK, mask_passwords

_SECRET = re.compile(
    r"passw|token|secret|credential|authori[sz]ation|api_?key|private_?key", re.IGNORECASE
)
_DEPTH = 6
_HUGE = 10**100


def plain(value: object, *, text_limit: int = 8192, items: int = 200, depth: int = _DEPTH) -> Any:
    """A value made of what JSON has, whatever it was.

    Args:
        value: anything, also with a broken repr().
        text_limit: characters kept of a text.
        items: elements kept of a collection.
        depth: collections inside collections that are followed.
    """
    try:
        return _plain(value, text_limit, items, depth)
    except Exception:  # noqa: BLE001 - a user's object may raise anything when looked at
        return _description(value, text_limit)


@lru_cache(maxsize=1000)
def is_secret(key: str) -> bool:
    """Whether a field's name says that its value must not be seen."""
    return bool(_SECRET.search(key))


def clean_text(text: str, limit: int) -> str:
    """Text that can be encoded, without passwords in URLs, cut in the middle when too long."""
    if len(text) > limit:
        head = limit // 4
        text = f"{text[:head]} … {len(text) - limit} characters … {text[head - limit :]}"
    if not text.isascii():
        text = text.encode("utf-8", "backslashreplace").decode("utf-8")
    return str(mask_passwords(text))


def _is_clean(value: object, text_limit: int) -> bool:
    """Whether a value can stay as it is, as most can."""
    if type(value) is str:
        return len(value) <= text_limit and value.isascii() and "://" not in value
    return type(value) is int and -_HUGE < value < _HUGE


def _plain(value: object, text_limit: int, items: int, depth: int) -> Any:
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, str):
        return clean_text(str.__str__(value), text_limit)
    if isinstance(value, int):
        return int(value) if abs(value) < _HUGE else "a huge number"
    if isinstance(value, float):
        return float(value) if math.isfinite(value) else repr(float(value))
    if isinstance(value, bytes | bytearray):
        return clean_text(bytes(value[:text_limit]).decode("utf-8", "backslashreplace"), text_limit)
    if isinstance(value, Mapping | list | tuple | set | frozenset) and depth > 0:
        return _collection(value, text_limit, items, depth - 1)
    return _description(value, text_limit)


def _collection(
    value: Mapping[Any, Any] | Collection[Any], text_limit: int, items: int, depth: int
) -> Any:
    limits = {"text_limit": text_limit, "items": items, "depth": depth}
    left_out = f"… {len(value) - items} more" if len(value) > items else None
    if not isinstance(value, Mapping):
        listed = [plain(item, **limits) for item in islice(value, items)]
        return [*listed, left_out] if left_out else listed
    cleaned = {}
    for raw, item in islice(value.items(), items):
        key = clean_text(raw if isinstance(raw, str) else _description(raw, 200), 200)
        if is_secret(key) and item is not None:
            cleaned[key] = MASK
        else:
            cleaned[key] = item if _is_clean(item, text_limit) else plain(item, **limits)
    return cleaned | {"…": left_out} if left_out else cleaned


def _description(value: object, limit: int) -> str:
    """str() where that is the natural form, else repr(), else only the type."""
    try:
        shown = repr(value) if type(value).__str__ is object.__str__ else str(value)
        return clean_text(shown, limit)
    except Exception:  # noqa: BLE001 - a user's object may raise anything when shown
        return f"<{type(value).__name__}: cannot be shown>"
