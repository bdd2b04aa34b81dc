"""What `JobQueue` answers of its rows."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from gigq import clock, codec, failure
from gigq.status import JobStatus

if TYPE_CHECKING:
    from collections.abc import Mapping


def ago(seconds: float | None) -> str | None:
    """Return the stored text of the moment so many seconds ago."""
    return None if seconds is None else clock.after(clock.utc_now(), -seconds)


def with_total(found: Mapping[str, int]) -> dict[str, int]:
    """Return the number of jobs of every status, and their total."""
    counts = {status.value: found.get(status.value, 0) for status in JobStatus}
    return {**counts, "total": sum(counts.values())}


def shown(row: Mapping[str, Any]) -> dict[str, Any]:
    """Return a row as users see it."""
    return {**codec.decode_row(row), **failure.columns(row["error"])}
