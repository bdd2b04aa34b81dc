"""The command `gigq stats`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gigq.cli import exit_codes, output, table
from gigq.cli.answers import answer, pause_lines
from gigq.cli.formatting import local_time
from gigq.cli.open_queue import queue_for_reading
from gigq.cli.options import Commands, Namespace, add_json, add_parser, add_queues
from gigq.model.job_status import JobStatus
from gigq.model.served_queues import EVERY
from gigq.store.verbs import listing
from gigq.store.verbs.pauses import pause_of

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
        return _stats_by_queue(queue, args)
    counts, paused = queue.stats(args.queues), _pauses(queue, args.queues)
    paint = table.painted_status if output.takes_colour() else None
    shown = table.table(("Status", "Count"), [*counts.items()], paint=paint)
    delayed = "" if args.json else _delayed(queue, args.queues)
    sentence = "\n".join([shown + delayed, *pause_lines(paused)])
    answer(args, {**counts, **({"paused": paused} if paused else {})}, sentence)
    return exit_codes.OK


def _stats_by_queue(queue: JobQueue, args: Namespace) -> int:
    by_queue, paused = queue.stats_by_queue(), _pauses(queue)
    shown = _by_queue(by_queue) if by_queue else "No jobs found."
    shape = {
        name: {**counts, **({"paused_at": paused[held]} if held else {})}
        for name, counts in by_queue.items()
        for held in (pause_of(paused, name),)
    }
    answer(args, shape, "\n".join([shown, *pause_lines(paused)]))
    return exit_codes.OK


def _pauses(queue: JobQueue, queues: Sequence[str] | None = None) -> dict[str, str]:
    """Return the pauses of the queues, None for all, with the times since when they last."""
    found = queue.paused()
    named = found if queues is None else {EVERY, *queues}
    return {name: since for name, since in found.items() if name in named}


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
