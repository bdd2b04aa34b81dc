"""Text in a form that a database can store, also from user code and file names."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from collections.abc import Iterable

Value = TypeVar("Value")


def storable(text: str) -> str:
    r"""Return a text that is valid UTF-8 without NUL.

    A lone surrogate, as in an undecodable file name, becomes `\udce9` and NUL becomes `\x00`.
    SQLite accepts no lone surrogates, and PostgreSQL accepts no NUL either.
    """
    if "\0" in text:
        text = text.replace("\0", "\\x00")
    if text.isascii():
        return text
    return text.encode("utf-8", "backslashreplace").decode()


def storable_value(value: Value) -> Value:
    """Return a value to bind, made storable when it is text."""
    return storable(value) if isinstance(value, str) else value  # type: ignore[return-value]


def storable_list(values: Iterable[Any]) -> str:
    """Return a JSON list to bind: PostgreSQL refuses one that has an escaped NUL or half a pair."""
    found = [*values]
    text = json.dumps(found)
    # Most lists are of ids, which are stored as they are.
    return json.dumps([storable_value(value) for value in found]) if "\\u" in text else text
