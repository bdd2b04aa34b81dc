"""The commands about single jobs: submit, status, list."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from gigq.cli import describing, exits, job_ids, pending, shapes, terminal, text
from gigq.cli.answers import answer, not_found
from gigq.cli.job_options import job_of
from gigq.cli.loading import function_at, use_code
from gigq.cli.opening import any_queue, is_abandoned, queue_to_look_at

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterable, Mapping


TITLES = ("ID", "Name", "Status", "Priority", "Created", "Updated")


def submit(args: argparse.Namespace) -> int:
    """Store a job."""
    use_code(args)
    job = job_of(args, function_at(args.function, args.app_dir))
    with any_queue(args) as queue:
        job.dependencies = job_ids.full_ids(queue, job.dependencies)
        job_id = queue.submit(job)
    answer(args, {"id": job_id}, f"Job submitted: {job_id}")
    return exits.OK


def status(args: argparse.Namespace) -> int:
    """Show one job."""
    queue = queue_to_look_at(args)
    found = queue.get_status(job_ids.full_id(queue, args.job_id))
    if not found["exists"]:
        return not_found(args, args.job_id)
    found["why_waiting"] = pending.why_waiting(queue, args.db, found)
    last = found["executions"][-1:]
    found["abandoned"] = any(is_abandoned(args.db, one) for one in last)
    if args.json:
        terminal.print_json(shapes.job_with_executions(found))
    else:
        print("\n\n".join(describing.parts(found, args)))
    return exits.OK


def list_jobs(args: argparse.Namespace) -> int:
    """List jobs, the newest first."""
    found = queue_to_look_at(args).list_jobs(args.status, args.limit, queue=args.queue)
    if args.json:
        for row in found:
            terminal.print_json(shapes.job(row))
    else:
        print(_listed(found) if found else "No jobs found.")
    return exits.OK


def _listed(found: Iterable[Mapping[str, Any]]) -> str:
    rows = [
        (
            row["id"],
            row["name"],
            row["status"],
            row["priority"],
            text.local_time(row["created_at"]),
            text.local_time(row["updated_at"]),
        )
        for row in found
    ]
    width = terminal.width()
    fit = text.Fit(width, elastic="Name", droppable=("Created", "Updated")) if width else None
    if terminal.takes_colour():
        return text.table(TITLES, rows, fit=fit, paint=text.painted_status)
    return text.table(TITLES, rows, fit=fit)
