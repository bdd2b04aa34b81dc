"""Conversion of any value for a log line: bounded, without secrets, and never raising."""

import math
import re
from collections.abc import Mapping
from itertools import islice
from typing import Any, NamedTuple

from gigq.model.url_passwords import MASK, mask_passwords

_SECRET = re.compile(
    r"passw|token|secret|credential|authori[sz]ation|api_?key|private_?key", re.IGNORECASE
)
_HUGE = 10**100
_LONGEST_KEY = 200
_LONGEST_TEXT = 8192
_MOST_OPEN_KEYS = 1000

_open_keys: set[str] = set()
"""Names of fields that are shown as they are and do not name a secret."""


class Limits(NamedTuple):
    """Limits on the size of a value in the log.

    Attributes:
        text: characters of a text.
        items: elements of a collection.
        depth: collections inside collections that are followed.
    """

    text: int = _LONGEST_TEXT
    items: int = 200
    depth: int = 6


_USUAL = Limits()


def plain_entry(entry: dict[str, Any]) -> Any:
    """Return `plain(entry)`; the entry itself, at little cost, when nothing in it must change."""
    for value in entry.values():
        kind = type(value)
        if kind is str:
            if len(value) > _LONGEST_TEXT or "://" in value or not value.isascii():
                return plain(entry)
        elif kind is int:
            if not -_HUGE < value < _HUGE:
                return plain(entry)
        elif kind is float:
            if not math.isfinite(value):
                return plain(entry)
        elif value is not None and kind is not bool:
            return plain(entry)
    is_open = entry.keys() <= _open_keys and len(entry) <= _USUAL.items
    return entry if is_open else plain(entry)


def plain(value: object, limits: Limits = _USUAL) -> Any:
    """Return any object as a value of JSON types, also one with a broken repr()."""
    try:
        return _plain(value, limits)
    except Exception:  # noqa: BLE001 - a user's object may raise anything when it is read
        return _description(value, limits.text)


def clean_text(text: str, limit: int) -> str:
    """Return text that can be encoded, without passwords in URLs, cut in the middle if too long."""
    if len(text) > limit:
        head = limit // 4
        text = f"{text[:head]} … {len(text) - limit} characters … {text[head - limit :]}"
    if not text.isascii():
        text = text.encode("utf-8", "backslashreplace").decode("utf-8")
    return str(mask_passwords(text))


def _plain(value: object, limits: Limits) -> Any:
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, str):
        return clean_text(str.__str__(value), limits.text)
    if isinstance(value, int):
        return int(value) if abs(value) < _HUGE else "a huge number"
    if isinstance(value, float):
        return float(value) if math.isfinite(value) else repr(float(value))
    if isinstance(value, bytes | bytearray):
        text = bytes(value[: limits.text]).decode("utf-8", "backslashreplace")
        return clean_text(text, limits.text)
    if isinstance(value, Mapping | list | tuple | set | frozenset) and limits.depth > 0:
        return _collection(value, limits._replace(depth=limits.depth - 1))
    return _description(value, limits.text)


def _collection(value: Any, limits: Limits) -> Any:
    left_out = len(value) - limits.items
    if isinstance(value, Mapping):
        shown = dict(_field(key, item, limits) for key, item in islice(value.items(), limits.items))
        return shown | {"…": f"… {left_out} more"} if left_out > 0 else shown
    items = [plain(item, limits) for item in islice(value, limits.items)]
    return [*items, f"… {left_out} more"] if left_out > 0 else items


def _field(name: object, value: object, limits: Limits) -> tuple[str, Any]:
    text = name if isinstance(name, str) else _description(name, _LONGEST_KEY)
    key = clean_text(text, _LONGEST_KEY)
    if _SECRET.search(key):
        return key, value if value is None else MASK
    if type(name) is str and key == name and len(_open_keys) < _MOST_OPEN_KEYS:
        _open_keys.add(key)
    return key, plain(value, limits)


def _description(value: object, limit: int) -> str:
    """Return str() where that is the natural form, else repr(), else only the type."""
    try:
        shown = repr(value) if type(value).__str__ is object.__str__ else str(value)
        return clean_text(shown, limit)
    except Exception:  # noqa: BLE001 - a user's object may raise anything when shown
        return f"<{type(value).__name__}: cannot be shown>"
