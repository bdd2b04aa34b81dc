"""Insertion of many jobs by COPY, which takes a fifth of the time of an INSERT."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from gigq.store.job_row import NULL, NULLABLE, JobRow
from gigq.store.postgres import drivers
from gigq.store.postgres.values import value_to_database

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from gigq.store.job_row import Values

_LEAST = 100
"""Fewer jobs are stored by an INSERT, which takes a single round trip."""

_BLOCK = 500
_NAMES = JobRow._fields
_OWN = _NAMES.index("id")
_ESCAPES = str.maketrans({"\\": "\\\\", "\t": "\\t", "\n": "\\n", "\r": "\\r"})


def is_worthwhile(connection: Any, rows: Sequence[Values]) -> bool:
    """Return True for many rows, on a connection whose driver copies rows."""
    return len(rows) >= _LEAST and not drivers.is_psycopg2(connection)


def copy_jobs(cursor: Any, statement: str, rows: Sequence[Values], now: str) -> bool:
    """Store the values of a `JobRow` for each job, or none of them.

    COPY cannot skip an id that is stored already, and the server refuses it on a table with
    row-level security.

    Args:
        cursor: a cursor of psycopg.
        statement: the COPY of the columns of a `JobRow`.
        rows: the values.
        now: the server's time, for `updated_at`.

    Returns:
        False when nothing is stored for one of these reasons.
    """
    from psycopg import NotSupportedError
    from psycopg.errors import UniqueViolation

    try:
        with cursor.connection.transaction(), cursor.copy(statement) as copy:
            for block in _blocks(rows, now):
                copy.write(block)
    except (UniqueViolation, NotSupportedError):
        return False
    return True


def _blocks(rows: Sequence[Values], now: str) -> Iterator[str]:
    """Return the rows in the text form of COPY, some at once: the server stores the first early."""
    heads: dict[Values, str] = {}
    for start in range(0, len(rows), _BLOCK):
        lines = []
        for row in rows[start : start + _BLOCK]:
            shared = row[:_OWN]
            head = heads.get(shared)
            if head is None:
                # The first is `updated_at`: not the time of the host that submits.
                head = heads[shared] = "\t".join(map(_text, _NAMES, (now, *shared[1:])))
            lines.append(f"{head}\t{_own(row)}\t1\n")  # linked
        yield "".join(lines)


def _own(row: Values) -> str:
    """Return the columns in which jobs of a batch usually differ."""
    *texts, unmet = row[_OWN:]
    joined = "\t".join(texts)
    if joined.isascii() and joined.count("\t") == len(texts) - 1 and not _needs_escape(joined):
        return f"{joined}\t{unmet}"
    return "\t".join(map(_text, _NAMES[_OWN:], row[_OWN:]))


def _needs_escape(text: str) -> bool:
    return "\\" in text or "\n" in text or "\r" in text or "\0" in text


def _text(name: str, value: Any) -> str:
    if value is None or (value == NULL and name in NULLABLE):
        return "\\N"
    return str(value_to_database(value)).translate(_ESCAPES)
