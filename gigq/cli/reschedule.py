"""The commands `gigq run-now` and `gigq reschedule`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gigq.cli import exit_codes, job_options, selection
from gigq.cli.answers import answer, no_jobs, not_one_job
from gigq.cli.formatting import local_time
from gigq.cli.open_queue import existing_queue
from gigq.cli.options import Commands, Namespace, add_json, add_parser
from gigq.model.job_status import JobStatus
from gigq.terminal import printable

if TYPE_CHECKING:
    from gigq.rescheduling import Rescheduled

_PENDING = [JobStatus.PENDING.value]
_RUN_NOW = """\
Take the jobs with the given ids, or all that meet all conditions. They are
pending, with a later time: submitted so, or because an attempt failed. A job
that waits for a parent still waits for it."""
_RESCHEDULE = """\
Take the jobs with the given ids, or all that meet all conditions. They are
pending, with a later time or none. A job that would expire before the new time
is refused."""


def add_command(commands: Commands) -> None:
    """Add the parsers of both commands."""
    what, example = "make delayed jobs due now", "gigq run-now ID"
    parser = add_parser(commands, "run-now", run_now, what, example=example, details=_RUN_NOW)
    selection.add_jobs(parser, _PENDING, *_PENDING)
    add_json(parser)
    what, example = "change the time of pending jobs", "gigq reschedule ID --in 10m"
    parser = add_parser(
        commands, "reschedule", reschedule, what, example=example, details=_RESCHEDULE
    )
    selection.add_jobs(parser, _PENDING, *_PENDING)
    job_options.add_time_options(parser, required=True)
    add_json(parser)


def run_now(args: Namespace) -> int:
    """Make delayed jobs due now."""
    args.delay, args.run_at = 0, None
    return _reschedule(args, delayed=True)


def reschedule(args: Namespace) -> int:
    """Change the time of pending jobs."""
    return _reschedule(args, delayed=False)


def _reschedule(args: Namespace, *, delayed: bool) -> int:
    with existing_queue(args) as queue:
        found = selection.found(queue, args, _PENDING, delayed=delayed)
        ids = selection.unambiguous_ids(found)
        done = queue.reschedule_many(ids, run_at=args.run_at, delay=args.delay)
    codes = [
        not_one_job(args, given, rows) or _report(args, rows[0]["id"], done)
        for given, rows in found.items()
    ]
    return max(codes) if codes else no_jobs(args)


def _report(args: Namespace, job_id: str, done: Rescheduled) -> int:
    name = f"Job {printable(job_id)}"
    shape: dict[str, object] = {"id": job_id, "rescheduled": job_id in done.jobs}
    if job_id in done.jobs:
        retry_after = done.jobs[job_id]
        when = (
            f"does not run before {local_time(retry_after)}"
            if retry_after
            else "is not delayed any more"
        )
        answer(args, shape | {"retry_after": retry_after}, f"{name} {when}.")
        return exit_codes.OK
    reason = done.refused[job_id]
    said = "could not be rescheduled" if args.delay != 0 else "cannot be made due now"
    answer(args, shape | {"reason": reason}, f"{name} {said}: {reason}.")
    return exit_codes.NEGATIVE
