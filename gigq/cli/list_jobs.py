"""The command `gigq list`."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

from gigq.cli import arguments, exit_codes, job_json, output, selection, table
from gigq.cli.formatting import local_time
from gigq.cli.open_queue import queue_for_reading
from gigq.cli.options import Commands, Namespace, add_json, add_parser
from gigq.model.job_status import JobStatus
from gigq.terminal import shorten

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence


_TITLES = ("ID", "Name", "Status", "Priority", "Created")
_WORKFLOW = "Workflow"
_DROPPABLE = ("Created", _WORKFLOW, "Updated", "Priority")
_LONGEST_REASON = 60
_DECISIONS = {f"gigq.errors.{name}" for name in ("Snooze", "RetryLater")}


def add_command(commands: Commands) -> None:
    """Add the command's parser."""
    parser = add_parser(
        commands,
        "list",
        list_jobs,
        "list jobs, the newest first",
        example="gigq list --status failed --newer-than 1h --error 'no space'",
    )
    selection.add_conditions(parser, [status.value for status in JobStatus])
    add = parser.add_argument
    add("--limit", type=arguments.count, default=100, metavar="N", help="at most N (default: 100)")
    add(
        "--offset",
        type=arguments.amount,
        default=0,
        metavar="N",
        help="skip the first N, for the next page (default: 0)",
    )
    add(
        "--delayed",
        action="store_true",
        help="only pending jobs with a later time, the next one first",
    )
    add_json(parser)


def list_jobs(args: Namespace) -> int:
    """List jobs, the newest first."""
    with queue_for_reading(args) as queue:
        found = queue.list_jobs(
            args.statuses,
            args.limit if args.json else args.limit + 1,
            queue=args.queues,
            workflow=args.workflow,
            name=args.name,
            error=args.error,
            newer_than=args.newer_than,
            older_than=args.older_than,
            offset=args.offset,
            delayed=args.delayed,
        )
    if args.json:
        for row in found:
            output.print_json(job_json.job(row))
        return exit_codes.OK
    print(_listed(found[: args.limit], args.delayed) if found else "No jobs found.")
    if len(found) > args.limit:
        after = args.offset + args.limit
        sys.stdout.flush()  # the note follows the table, also where both go to one file
        print(f"gigq: there are more; --offset {after} shows the next ones", file=sys.stderr)
    return exit_codes.OK


def _listed(found: Sequence[Mapping[str, Any]], delayed: bool) -> str:
    titles: tuple[str, ...] = (*_TITLES, *(("Not before", "Why") if delayed else ("Updated",)))
    if any(row["workflow"] for row in found):
        titles = (*titles, _WORKFLOW)
    width = output.width()
    fit = table.Fit(width, {"Name": table.NARROWEST}, _DROPPABLE) if width else None
    paint = table.painted_status if output.takes_colour() else None
    rows = [_row(row, delayed)[: len(titles)] for row in found]
    return table.table(titles, rows, fit=fit, paint=paint)


def _row(row: Mapping[str, Any], delayed: bool) -> tuple[object, ...]:
    known = (row["id"], row["name"], row["status"], row["priority"], local_time(row["created_at"]))
    if delayed:
        return (*known, local_time(row["retry_after"]), _why(row), row["workflow"] or "-")
    return (*known, local_time(row["updated_at"]), row["workflow"] or "-")


def _why(row: Mapping[str, Any]) -> str:
    """Return why a job is delayed, with the headline of its last error."""
    kind = row.get("error_type")
    said = (row["due_why"] or "delay", kind not in _DECISIONS and kind, row.get("error_message"))
    why = ": ".join(str(part) for part in said if part)
    return shorten(why.partition("\n")[0], _LONGEST_REASON)
