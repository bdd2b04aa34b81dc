"""Shortened ids: any part of an id that only one job has."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from gigq.cli.formatting import cut
from gigq.errors import GigqError
from gigq.store.verbs import jobs
from gigq.terminal import printable

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from gigq.queue import JobQueue

    Row = Mapping[str, Any]

SHORTEST_PART = 4
"""Minimum length of a part of an id."""

HELP = f"an id, or a part of it that no other id contains (at least {SHORTEST_PART} characters)"
"""The help text of an argument for an id."""

_SHOWN = 10
_LONGEST_NAME = 60


class AmbiguousIdError(GigqError):
    """A text that is part of the ids of several jobs."""


def matches(queue: JobQueue, given: Sequence[str]) -> dict[str, list[Row]]:
    """Return for each text the job with that id, or else the jobs whose ids contain it.

    At most eleven jobs are returned for a text.
    """
    exact = {row["id"]: row for row in jobs.by_ids(queue._database, given)}
    return {
        one: [exact[one]] if one in exact else _with_part(queue, one)
        for one in dict.fromkeys(given)
    }


def full_id(queue: JobQueue, given: str) -> str:
    """Return the id of which a text is a part; the text itself when no id contains it.

    Raises:
        AmbiguousIdError: several ids contain it.
    """
    return full_ids(queue, [given])[0]


def full_ids(queue: JobQueue, given: Sequence[str]) -> list[str]:
    """Return the id of each text, as `full_id` does."""
    found = matches(queue, given)
    for one, rows in found.items():
        if len(rows) > 1:
            raise AmbiguousIdError(ambiguous(one, rows))
    return [found[one][0]["id"] if found[one] else one for one in given]


def ambiguous(given: str, rows: Sequence[Row]) -> str:
    """Return a sentence that lists the jobs whose ids contain a text."""
    listed = "; ".join(
        f"{row['id']} ({cut(printable(row['name']), _LONGEST_NAME)}, {row['status']})"
        for row in rows[:_SHOWN]
    )
    more = "; and more" if len(rows) > _SHOWN else ""
    return f"{printable(given)} is part of several ids: {listed}{more}; write more of the id"


def _with_part(queue: JobQueue, part: str) -> list[Row]:
    if len(part) < SHORTEST_PART:
        return []
    return [*jobs.with_part(queue._database, part, _SHOWN + 1)]
