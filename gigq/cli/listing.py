"""The commands about many jobs: list and stats."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

from gigq.cli import exits, selection, shapes, terminal, text, values
from gigq.cli.commands import Commands, add_json, command
from gigq.cli.opening import queue_to_look_at
from gigq.model.status import JobStatus

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterable, Mapping, Sequence

TITLES = ("ID", "Name", "Status", "Priority", "Created", "Updated")
_WORKFLOW = "Workflow"
_DROPPABLE = ("Created", _WORKFLOW, "Updated")
_STATUSES = [status.value for status in JobStatus]


def add_commands(commands: Commands[argparse.ArgumentParser]) -> None:
    """Add the parsers of these commands."""
    _add_list(commands)
    _add_stats(commands)


def _add_list(commands: Commands[argparse.ArgumentParser]) -> None:
    parser = command(
        commands,
        "list",
        list_jobs,
        "list jobs, the newest first",
        example="gigq list --status failed --newer-than 1h --error 'no space'",
    )
    selection.add_conditions(parser, _STATUSES)
    add = parser.add_argument
    add("--limit", type=values.count, default=100, metavar="N", help="at most N (default: 100)")
    add(
        "--offset",
        type=values.amount,
        default=0,
        metavar="N",
        help="skip the first N, for the next page (default: 0)",
    )
    add_json(parser)


def _add_stats(commands: Commands[argparse.ArgumentParser]) -> None:
    parser = command(
        commands,
        "stats",
        stats,
        "count the jobs in each status",
        example="gigq stats --by queue",
    )
    how = parser.add_mutually_exclusive_group()
    how.add_argument(
        "--queue",
        dest="queues",
        action="append",
        metavar="NAME",
        help="only those of this named queue (may be repeated)",
    )
    how.add_argument("--by", choices=("queue",), metavar="WHAT", help="queue: count for each queue")
    add_json(parser)


def list_jobs(args: argparse.Namespace) -> int:
    """List jobs, the newest first."""
    found = queue_to_look_at(args).list_jobs(
        args.statuses,
        args.limit if args.json else args.limit + 1,
        queue=args.queues,
        workflow=args.workflow,
        name=args.name,
        error=args.error,
        newer_than=args.newer_than,
        older_than=args.older_than,
        offset=args.offset,
    )
    if args.json:
        for row in found:
            terminal.print_json(shapes.job(row))
        return exits.OK
    print(_listed(found[: args.limit]) if found else "No jobs found.")
    if len(found) > args.limit:
        after = args.offset + args.limit
        print(f"gigq: there are more; --offset {after} shows the next ones", file=sys.stderr)
    return exits.OK


def stats(args: argparse.Namespace) -> int:
    """Count the jobs in each status."""
    queue = queue_to_look_at(args)
    if args.by:
        return _stats_by_queue(args, queue.stats_by_queue())
    counts = queue.stats(args.queues)
    if args.json:
        terminal.print_json(counts)
        return exits.OK
    paint = text.painted_status if terminal.takes_colour() else None
    print(text.table(("Status", "Count"), list(counts.items()), paint=paint))
    return exits.OK


def _stats_by_queue(args: argparse.Namespace, found: Mapping[str, Mapping[str, int]]) -> int:
    if args.json:
        terminal.print_json(found)
    elif found:
        titles = ("Queue", *_STATUSES, "total")
        rows = [(queue, *counts.values()) for queue, counts in found.items()]
        width = terminal.width()
        print(
            text.table(
                titles, rows, fit=text.Fit(width, {"Queue": text.NARROWEST}) if width else None
            )
        )
    else:
        print("No jobs found.")
    return exits.OK


def _listed(found: Sequence[Mapping[str, Any]]) -> str:
    rows = [_row(row) for row in found]
    titles: Iterable[str] = TITLES
    if any(row["workflow"] for row in found):
        titles = (*TITLES, _WORKFLOW)
        rows = [(*cells, row["workflow"] or "-") for cells, row in zip(rows, found, strict=True)]
    width = terminal.width()
    fit = text.Fit(width, {"Name": text.NARROWEST}, _DROPPABLE) if width else None
    paint = text.painted_status if terminal.takes_colour() else None
    return text.table(tuple(titles), rows, fit=fit, paint=paint)


def _row(row: Mapping[str, Any]) -> tuple[object, ...]:
    return (
        row["id"],
        row["name"],
        row["status"],
        row["priority"],
        text.local_time(row["created_at"]),
        text.local_time(row["updated_at"]),
    )
