"""The commands about single jobs: submit and status."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gigq.cli import describing, exits, job_ids, pending, shapes, terminal
from gigq.cli.answers import answer, not_found
from gigq.cli.job_options import job_of
from gigq.cli.loading import function_at, use_code
from gigq.cli.opening import any_queue, is_abandoned, queue_to_look_at

if TYPE_CHECKING:
    import argparse


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
