"""The command `gigq requeue`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gigq.cli import exit_codes, job_options, selection
from gigq.cli.answers import answer, no_jobs, not_found, not_one_job
from gigq.cli.formatting import local_time
from gigq.cli.open_queue import existing_queue
from gigq.cli.options import Commands, Namespace, add_json, add_parser
from gigq.model.job_status import WITHOUT_SUCCESS, JobStatus
from gigq.terminal import printable

if TYPE_CHECKING:
    from collections.abc import Mapping

    from gigq.cancel_requeue import Requeued
    from gigq.store.database import Row

_FAILED = [JobStatus.FAILED.value, JobStatus.TIMEOUT.value]

_DETAILS = """\
Requeue the jobs with the given ids, or all that meet all conditions, with no
attempt used. A job whose parent ended without success is refused, unless the
parent is requeued with it. With --one-more a job that has been started gets one
attempt, and its count of attempts stays."""


def add_command(commands: Commands) -> None:
    """Add the command's parser."""
    parser = add_parser(
        commands,
        "requeue",
        requeue,
        "make failed, timed out or cancelled jobs pending again",
        example="gigq requeue --status failed --error 'no space'",
        details=_DETAILS,
    )
    selection.add_jobs(parser, [*_FAILED, JobStatus.CANCELLED.value], ", ".join(_FAILED))
    parser.add_argument(
        "--dependents",
        action="store_true",
        help="requeue also the jobs that failed because of these, directly or not",
    )
    parser.add_argument(
        "--one-more",
        action="store_true",
        help="give one attempt more, not all attempts again",
    )
    job_options.add_time_options(parser, "--delay")
    add_json(parser)


def requeue(args: Namespace) -> int:
    """Make finished jobs pending again."""
    with existing_queue(args) as queue:
        found = selection.found(queue, args, _FAILED)
        ids = selection.unambiguous_ids(found)
        done = queue.requeue_many(
            ids,
            dependents=args.dependents,
            one_more=args.one_more,
            run_at=args.run_at,
            delay=args.delay,
        )
        now = selection.stored(queue, [*ids, *done.jobs, *done.refused])
    again, named = set(done.jobs), set(ids)
    codes = [
        not_one_job(args, given, rows) or _report(args, rows[0]["id"], now, done, again)
        for given, rows in found.items()
    ]
    others = [id_ for id_ in (*done.jobs, *done.refused) if id_ not in named]
    codes += [_report(args, id_, now, done, again) for id_ in others]
    return max(codes) if codes else no_jobs(args)


def _report(
    args: Namespace, job_id: str, now: Mapping[str, Row], done: Requeued, again: set[str]
) -> int:
    if job_id not in now:
        return not_found(args, job_id)
    status, retry_after = now[job_id]["status"], now[job_id]["retry_after"]
    shape: dict[str, object] = {"id": job_id, "requeued": job_id in again, "status": status}
    name = f"Job {printable(job_id)}"
    if job_id in again:
        times = {"retry_after": retry_after} if retry_after else {}
        later = f"; it does not run before {local_time(retry_after)}" if retry_after else ""
        answer(args, shape | times, f"{name} requeued{later}.")
        return exit_codes.OK
    if args.dependents and again and status not in WITHOUT_SUCCESS:
        answer(args, shape, f"{name} stays as it is: it is {status}.")
        return exit_codes.OK
    reason = done.refused[job_id]
    is_delayed = status == JobStatus.PENDING.value and retry_after
    hint = "; gigq run-now starts it before its time" if is_delayed else ""
    answer(args, shape | {"reason": reason}, f"{name} could not be requeued: {reason}{hint}.")
    return exit_codes.NEGATIVE
