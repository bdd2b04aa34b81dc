"""Selection of the jobs of a command, by ids or by conditions."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

from gigq import job_queries
from gigq.cli import arguments, job_ids
from gigq.cli.errors import OptionsError
from gigq.cli.options import add_queues, choices
from gigq.store.verbs import jobs, listing

if TYPE_CHECKING:
    import argparse
    from collections.abc import Mapping, Sequence

    from gigq.queue import JobQueue
    from gigq.store.database import Row

    Found = dict[str, list[Mapping[str, Any]]]

STANDARD_INPUT = "-"
_ALIKE = ("workflow", "name", "error", "newer_than", "older_than")
_CONDITIONS = ("statuses", "queues", *_ALIKE)


def add_conditions(
    parser: argparse.ArgumentParser, statuses: Sequence[str], otherwise: str = "all"
) -> None:
    """Add the options that select jobs; a job must meet all that are given."""
    add = parser.add_argument
    add(
        "--status",
        dest="statuses",
        action="append",
        choices=statuses,
        metavar="STATUS",
        help=f"{choices(statuses)} (may be repeated; default: {otherwise})",
    )
    add_queues(parser, "only this named queue (may be repeated)")
    add("--workflow", metavar="NAME", help="only jobs of this workflow")
    add("--name", metavar="TEXT", help="only jobs with TEXT in their name")
    add("--error", metavar="TEXT", help="only jobs with TEXT in their error")
    for option, what in (
        ("--newer-than", "only jobs created at most this long ago, such as 1h30m or 7d"),
        ("--older-than", "only jobs created longer ago than this"),
    ):
        add(option, type=arguments.age, metavar="DURATION", help=what)


def add_jobs(
    parser: argparse.ArgumentParser, statuses: Sequence[str], otherwise: str = "all"
) -> None:
    """Add the arguments of a command that changes jobs: ids, or the same conditions."""
    what = f"{job_ids.HELP}; - reads ids from standard input"
    parser.add_argument("job_ids", metavar="ID", nargs="*", help=what)
    add_conditions(parser, statuses, otherwise)


def found(
    queue: JobQueue, args: argparse.Namespace, otherwise: Sequence[str], *, delayed: bool = False
) -> Found:
    """Return the selected jobs, by the given text or by their id.

    Args:
        queue: the queue.
        args: the arguments of `add_jobs`.
        otherwise: the statuses when the conditions name none.
        delayed: True when the conditions mean only jobs whose time has not come.

    Raises:
        OptionsError: there are neither ids nor conditions, or both.
    """
    conditions = any(getattr(args, name) is not None for name in _CONDITIONS)
    if conditions and args.job_ids:
        raise OptionsError("give ids or conditions such as --queue, not both")
    if not conditions and not args.job_ids:
        raise OptionsError(
            "say which jobs: by ID, by - for ids from standard input, or by --status"
        )
    if conditions:
        asked = {name: getattr(args, name) for name in _ALIKE} | {"now": queue._database.now}
        wanted = job_queries.conditions(args.statuses or otherwise, args.queues, **asked)
        return job_ids.matches(queue, listing.ids(queue._database, wanted, delayed=delayed))
    return job_ids.matches(queue, [one for given in args.job_ids for one in _ids(given)])


def unambiguous_ids(found: Found) -> list[str]:
    """Return the ids of the texts that match one job."""
    return [rows[0]["id"] for rows in found.values() if len(rows) == 1]


def statuses(queue: JobQueue, ids: Sequence[str]) -> dict[str, str]:
    """Return the status of each job that exists, by its id."""
    return {id_: row["status"] for id_, row in stored(queue, ids).items()}


def stored(queue: JobQueue, ids: Sequence[str]) -> dict[str, Row]:
    """Return `status` and `retry_after` of each job that exists, by its id."""
    return {row["id"]: row for row in jobs.by_ids(queue._database, ids)}


def _ids(given: str) -> list[str]:
    if given != STANDARD_INPUT:
        return [given]
    return sys.stdin.buffer.read().decode(errors="replace").split()
