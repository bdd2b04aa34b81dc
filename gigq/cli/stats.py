"""The command `gigq stats`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gigq.cli import exit_codes, output, table
from gigq.cli.answers import answer
from gigq.cli.formatting import local_time
from gigq.cli.open_queue import queue_for_reading
from gigq.cli.options import Commands, Namespace, add_json, add_parser, add_queues
from gigq.model.job_status import JobStatus
from gigq.model.served_queues import EVERY
from gigq.store.verbs import listing
from gigq.terminal import printable

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from gigq.queue import JobQueue


def add_command(commands: Commands) -> None:
    """Add the command's parser."""
    what, example = "count the jobs in each status", "gigq stats --by queue"
    parser = add_parser(commands, "stats", stats, what, example=example)
    how = parser.add_mutually_exclusive_group()
    add_queues(how, "only this named queue (may be repeated)")
    how.add_argument(
        "--by", choices=("queue",), metavar="WHAT", help="queue: count each queue separately"
    )
    add_json(parser)


def stats(args: Namespace) -> int:
    """Count the jobs in each status."""
    with queue_for_reading(args) as queue:
        return _stats(queue, args)


def _stats(queue: JobQueue, args: Namespace) -> int:
    if args.by:
        by_queue = queue.stats_by_queue()
        shown = _by_queue(by_queue) if by_queue else "No jobs found."
        answer(args, by_queue, shown if args.json else f"{shown}{_paused(queue)}")
        return exit_codes.OK
    counts = queue.stats(args.queues)
    paint = table.painted_status if output.takes_colour() else None
    shown = table.table(("Status", "Count"), [*counts.items()], paint=paint)
    answer(args, counts, shown if args.json else f"{shown}{_notes(queue, args.queues)}")
    return exit_codes.OK


def _notes(queue: JobQueue, queues: Sequence[str] | None) -> str:
    return _delayed(queue, queues) + _paused(queue, queues)


def _paused(queue: JobQueue, queues: Sequence[str] | None = None) -> str:
    """Return a line for each pause of the queues; empty without any."""
    found = queue.paused()
    named = found if queues is None else {EVERY, *queues}
    return "".join(
        f"\n{f'queue {printable(name)}' if name != EVERY else 'every queue'} is paused, "
        f"since {local_time(since)}"
        for name, since in found.items()
        if name in named
    )


def _delayed(queue: JobQueue, queues: Sequence[str] | None) -> str:
    """Return a line about the pending jobs with a later time; empty without any."""
    jobs, next_at = listing.delayed_summary(queue._database, queues)
    if not jobs:
        return ""
    are = "is" if jobs == 1 else "are"
    return f"\n{jobs:,} of the pending jobs {are} delayed, the next one until {local_time(next_at)}"


def _by_queue(found: Mapping[str, Mapping[str, int]]) -> str:
    titles = ("Queue", *(status.value for status in JobStatus), "total")
    rows = [(queue, *counts.values()) for queue, counts in found.items()]
    width = output.width()
    fit = table.Fit(width, {"Queue": table.NARROWEST}) if width else None
    return table.table(titles, rows, fit=fit)
