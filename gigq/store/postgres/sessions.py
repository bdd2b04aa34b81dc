"""The sessions of gigq that a server lists."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gigq.store.postgres.connections import DAEMON, WORKER

if TYPE_CHECKING:
    from collections.abc import Iterable

    from gigq.store.session import Row


def that_run_jobs(rows: Iterable[Row]) -> str | None:
    """Return the sessions of daemons and plain workers in words; None without any.

    Args:
        rows: the rows of the statement `sessions_of_gigq`.
    """
    shown = [_shown(row) for row in rows if row["program"] in (DAEMON, WORKER)]
    return " and ".join(shown) or None


def _shown(row: Row) -> str:
    place = f" from {row['hosts']}" if row["hosts"] else ""
    ending = "" if row["number"] == 1 else "s"
    return f"{row['number']} session{ending} of {row['program']!r}{place}"
