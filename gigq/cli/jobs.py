"""The commands about single jobs: submit, status, list, cancel, requeue."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from gigq.cli import describing, exits, pending, shapes, terminal, text
from gigq.cli.job_options import job_of
from gigq.cli.loading import function_at
from gigq.cli.opening import any_queue, existing_queue, is_abandoned, queue_to_look_at
from gigq.status import JobStatus

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterable, Mapping

    from gigq.queue import JobQueue

TITLES = ("ID", "Name", "Status", "Priority", "Created", "Updated")


def submit(args: argparse.Namespace) -> int:
    """Store a job."""
    job = job_of(args, function_at(args.function, args.app_dir))
    with any_queue(args) as queue:
        job_id = queue.submit(job)
    _answer(args, {"id": job_id}, f"Job submitted: {job_id}")
    return exits.OK


def status(args: argparse.Namespace) -> int:
    """Show one job."""
    queue = queue_to_look_at(args)
    found = queue.get_status(args.job_id)
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


def cancel(args: argparse.Namespace) -> int:
    """Cancel pending jobs; with `--running`, ask running ones to end, too."""
    with existing_queue(args) as queue:
        codes = [_cancel(args, queue, job_id) for job_id in args.job_ids]
    return max(codes)


def requeue(args: argparse.Namespace) -> int:
    """Make a finished job pending again."""
    with existing_queue(args) as queue:
        return _requeue(args, queue)


def _cancel(args: argparse.Namespace, queue: JobQueue, job_id: str) -> int:
    changed = queue.cancel(job_id, running=args.running)
    found = queue.get_status(job_id)
    if not found["exists"]:
        return not_found(args, job_id)
    cancelled = found["status"] == JobStatus.CANCELLED.value
    shape = {"id": job_id, "cancelled": changed and cancelled, "status": found["status"]}
    sentence = _asked(found) if changed else _not_cancelled(found, args)
    if args.running:
        shape["requested"] = changed
    _answer(args, shape, f"Job {text.printable(job_id)} {sentence}")
    return exits.OK if changed else exits.NEGATIVE


def _asked(found: Mapping[str, Any]) -> str:
    if found["status"] == JobStatus.CANCELLED.value:
        return "cancelled."
    if found["status"] != JobStatus.RUNNING.value:
        return f"was asked to end, and is {found['status']}."
    if all(is_plain(one) for one in found["executions"][-1:]):
        return (
            "is asked to end. It runs in a plain worker, which cannot interrupt it: it goes on "
            "unless it asks current_job().cancel_requested, and will not be tried again."
        )
    return "is asked to end."


def _not_cancelled(found: Mapping[str, Any], args: argparse.Namespace) -> str:
    running = found["status"] == JobStatus.RUNNING.value and not args.running
    hint = "; --running asks it to end" if running else ""
    return f"could not be cancelled: it is {found['status']}{hint}."


def is_plain(execution: Mapping[str, Any]) -> bool:
    """Whether an attempt is not the daemon's."""
    return not (execution["run"] or "").startswith("gigqd:")


def _requeue(args: argparse.Namespace, queue: JobQueue) -> int:
    requeued = queue.requeue_job(args.job_id)
    found = queue.get_status(args.job_id)
    if not found["exists"]:
        return not_found(args, args.job_id)
    refusal = f"could not be requeued: it is {found['status']}."
    _answer(
        args,
        {"id": args.job_id, "requeued": requeued, "status": found["status"]},
        f"Job {text.printable(args.job_id)} {'requeued.' if requeued else refusal}",
    )
    return exits.OK if requeued else exits.NEGATIVE


def not_found(args: argparse.Namespace, job_id: str) -> int:
    """Say that there is no such job."""
    sentence = f"Job {text.printable(job_id)} not found."
    _answer(args, {"id": job_id, "exists": False}, sentence)
    return exits.NEGATIVE


def _answer(args: argparse.Namespace, shape: Mapping[str, object], sentence: str) -> None:
    if args.json:
        terminal.print_json(shape)
    else:
        print(sentence)


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
