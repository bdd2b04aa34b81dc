"""Conditions and answers of the queries of `JobQueue`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from gigq.model import clock, codec, failure_details
from gigq.model.job_status import JobStatus
from gigq.store.verbs.listing import Filter

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    Statuses = JobStatus | str | Iterable[JobStatus | str] | None
    Names = str | Iterable[str] | None


def conditions(
    status: Statuses,
    queue: Names,
    *,
    newer_than: float | None,
    older_than: float | None,
    now: Callable[[], str],
    **texts: str | None,
) -> Filter:
    """Return the conditions of `JobQueue.list_jobs`.

    Args:
        status: as there.
        queue: as there.
        newer_than: as there.
        older_than: as there.
        now: returns the database's time.
        texts: as there.

    Raises:
        ValueError: there is no such status.
    """
    statuses = status
    if isinstance(statuses, JobStatus | str):
        statuses = [statuses] if statuses else None
    return Filter(
        statuses=None if statuses is None else [JobStatus(one).value for one in statuses],
        queues=names(queue),
        since=ago(newer_than, now),
        before=ago(older_than, now),
        **texts,
    )


def names(given: Names) -> tuple[str, ...] | None:
    """Return one name or several as a tuple; None for any name."""
    if isinstance(given, str):
        return (given,)
    return None if given is None else tuple(given)


def ago(seconds: float | None, now: Callable[[], str]) -> str | None:
    """Return the time so many seconds before `now()` as it is stored; None for None."""
    return None if seconds is None else clock.after(now(), -seconds)


def with_total(*found: Mapping[str, int]) -> dict[str, int]:
    """Add up numbers of jobs by status; return them with their total."""
    counts = {status.value: sum(one.get(status.value, 0) for one in found) for status in JobStatus}
    return {**counts, "total": sum(counts.values())}


def shown(row: Mapping[str, Any]) -> dict[str, Any]:
    """Return a row with decoded values and the parts of its error."""
    return {**codec.decode_row(row), **failure_details.columns(row["error"])}
