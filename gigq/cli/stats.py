"""The command `gigq stats`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gigq.cli import exit_codes, output, table
from gigq.cli.answers import answer
from gigq.cli.open_queue import queue_for_reading
from gigq.cli.options import Commands, Namespace, add_json, add_parser, add_queues
from gigq.model.job_status import JobStatus

if TYPE_CHECKING:
    from collections.abc import Mapping


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
    queue = queue_for_reading(args)
    if args.by:
        by_queue = queue.stats_by_queue()
        answer(args, by_queue, _by_queue(by_queue) if by_queue else "No jobs found.")
        return exit_codes.OK
    counts = queue.stats(args.queues)
    paint = table.painted_status if output.takes_colour() else None
    answer(args, counts, table.table(("Status", "Count"), [*counts.items()], paint=paint))
    return exit_codes.OK


def _by_queue(found: Mapping[str, Mapping[str, int]]) -> str:
    titles = ("Queue", *(status.value for status in JobStatus), "total")
    rows = [(queue, *counts.values()) for queue, counts in found.items()]
    width = output.width()
    fit = table.Fit(width, {"Queue": table.NARROWEST}) if width else None
    return table.table(titles, rows, fit=fit)
