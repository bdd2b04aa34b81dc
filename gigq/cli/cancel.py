"""The command `gigq cancel`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gigq.cli import exit_codes, selection
from gigq.cli.answers import answer, no_jobs, not_found, not_one_job
from gigq.cli.attempts import is_in_plain_worker
from gigq.cli.errors import OptionsError
from gigq.cli.open_queue import existing_queue
from gigq.cli.options import Commands, Namespace, add_json, add_parser
from gigq.model.job_status import JobStatus
from gigq.terminal import printable

if TYPE_CHECKING:
    from collections.abc import Mapping

    from gigq.queue import JobQueue

_CANCELLED = JobStatus.CANCELLED.value
_PENDING = JobStatus.PENDING.value
_RUNNING = JobStatus.RUNNING.value

_DETAILS = """\
Cancel the jobs with the given ids, or all that meet all conditions. With
--running the daemon interrupts running jobs, and kills those that do not end;
a plain worker lets them finish. In both cases they are not tried again."""


def add_command(commands: Commands) -> None:
    """Add the command's parser."""
    example = "gigq cancel --queue mail --older-than 1h"
    parser = add_parser(
        commands, "cancel", cancel, "cancel jobs", example=example, details=_DETAILS
    )
    selection.add_jobs(parser, [_PENDING, _RUNNING], "pending, with --running also running")
    parser.add_argument(
        "--running", action="store_true", help="cancel running jobs, too, not only pending ones"
    )
    add_json(parser)


def cancel(args: Namespace) -> int:
    """Cancel pending jobs; with `--running`, request the cancel of running ones, too."""
    with existing_queue(args) as queue:
        found = selection.found(queue, args, _statuses_to_cancel(args))
        ids = selection.unambiguous_ids(found)
        changed = set(queue.cancel_many(ids, running=args.running))
        now = selection.statuses(queue, ids)
        codes = [
            not_one_job(args, given, rows)
            or _report(args, queue, rows[0]["id"], now, changed=rows[0]["id"] in changed)
            for given, rows in found.items()
        ]
    return max(codes) if codes else no_jobs(args)


def _statuses_to_cancel(args: Namespace) -> list[str]:
    if args.running:
        return [_PENDING, _RUNNING]
    if _RUNNING in (args.statuses or ()):
        raise OptionsError("--status running needs --running, which asks running jobs to end")
    return [_PENDING]


def _report(
    args: Namespace, queue: JobQueue, job_id: str, now: Mapping[str, str], *, changed: bool
) -> int:
    status = now.get(job_id)
    if status is None:
        return not_found(args, job_id)
    shape: dict[str, object] = {
        "id": job_id,
        "cancelled": changed and status == _CANCELLED,
        "status": status,
    }
    if args.running:
        shape["requested"] = changed
    sentence = _changed(queue, job_id, status) if changed else _not_cancelled(status, args)
    answer(args, shape, f"Job {printable(job_id)} {sentence}")
    return exit_codes.OK if changed else exit_codes.NEGATIVE


def _changed(queue: JobQueue, job_id: str, status: str) -> str:
    if status == _CANCELLED:
        return "cancelled."
    if status != _RUNNING:
        return f"was asked to end, and is {status}."
    executions = queue.get_status(job_id).get("executions", ())
    if all(is_in_plain_worker(one) for one in executions[-1:]):
        return (
            "is asked to end. It runs in a plain worker, which cannot interrupt it: it continues "
            "unless it reads current_job().cancel_requested, and is not tried again."
        )
    return "is asked to end."


def _not_cancelled(status: str, args: Namespace) -> str:
    hint = "; --running asks it to end" if status == _RUNNING and not args.running else ""
    return f"could not be cancelled: it is {status}{hint}."
