"""Values on their way to PostgreSQL and back, so that both databases give the same JSON."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from gigq.model.decimals import plain_number
from gigq.model.storable_text import storable, storable_value

if TYPE_CHECKING:
    from collections.abc import Sequence

_NUMERIC = 1700
_ROW_NUMBER = "rowid"


def to_database(params: Any) -> Any:
    """Return parameters as the server takes them: no surrogates, and 0 and 1 for truth values."""
    if isinstance(params, tuple):
        return tuple(map(value_to_database, params))
    return {name: value_to_database(value) for name, value in params.items()}


def value_to_database(value: Any) -> Any:
    """Return one parameter as the server takes it."""
    kind = type(value)
    if kind is bool:
        return int(value)
    return storable_value(value) if kind is str else value


def to_text(value: Any) -> str | None:
    """Return a value as text that the server casts."""
    if type(value) is str:
        return storable(value)
    return None if value is None else str(value_to_database(value))


def from_database(rows: Sequence[tuple[Any, ...]], description: Any) -> list[dict[str, Any]]:
    """Return rows as dicts, with the numbers that SQLite would give.

    The number of a row is no column in SQLite, so `SELECT *` must not show it here.
    """
    if not rows:
        return []
    names = [column[0] for column in description]
    found = [dict(zip(names, row, strict=True)) for row in rows]
    numbers = [column[0] for column in description if column[1] == _NUMERIC]
    for row in found:
        row.pop(_ROW_NUMBER, None)
        for name in numbers:
            row[name] = plain_number(row[name])
    return found
