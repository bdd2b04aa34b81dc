"""Text in a form that a database can store, whatever user code or a file name put into it."""

from __future__ import annotations

from typing import TypeVar

Value = TypeVar("Value")


def storable(text: str) -> str:
    r"""Return a text that is valid UTF-8 without NUL.

    A lone surrogate, as undecodable file names have them, becomes `\udce9` and NUL becomes `\x00`.
    SQLite takes no lone surrogates, and PostgreSQL no NUL either.
    """
    if "\0" in text:
        text = text.replace("\0", "\\x00")
    if text.isascii():
        return text
    return text.encode("utf-8", "backslashreplace").decode()


def storable_value(value: Value) -> Value:
    """Return a value to bind, made storable when it is text."""
    return storable(value) if isinstance(value, str) else value  # type: ignore[return-value]
