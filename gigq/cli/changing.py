"""The commands that change jobs: cancel, requeue, clear, prune."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from gigq.cli import exits, selection, text, values
from gigq.cli.answers import ambiguous_id, answer, is_plain, not_found
from gigq.cli.commands import Commands, add_json, choices, command
from gigq.cli.opening import existing_queue
from gigq.cli.values import OptionsError
from gigq.model import clock
from gigq.model.status import WITHOUT_SUCCESS, JobStatus
from gigq.store.verbs import jobs
from gigq.store.verbs.retention import FINISHED

if TYPE_CHECKING:
    import argparse
    from collections.abc import Mapping, Sequence

    from gigq.cancel_requeue import Requeued
    from gigq.queue import JobQueue

    Row = Mapping[str, Any]

_AGE = "DURATION"
_TO_CANCEL = [JobStatus.PENDING.value, JobStatus.RUNNING.value]
_FAILED = [JobStatus.FAILED.value, JobStatus.TIMEOUT.value]
_TO_REQUEUE = [*_FAILED, JobStatus.CANCELLED.value]


def add_commands(commands: Commands[argparse.ArgumentParser]) -> None:
    """Add the parsers of these commands."""
    _add_cancel(commands)
    _add_requeue(commands)
    _add_clear(commands)
    _add_prune(commands)


def _add_cancel(commands: Commands[argparse.ArgumentParser]) -> None:
    parser = command(
        commands,
        "cancel",
        cancel,
        "cancel jobs",
        example="gigq cancel --queue mail --older-than 1h",
    )
    selection.add_jobs(parser, _TO_CANCEL, "pending, with --running also running")
    parser.add_argument(
        "--running", action="store_true", help="running jobs, too; otherwise only pending ones"
    )
    add_json(parser)


def _add_requeue(commands: Commands[argparse.ArgumentParser]) -> None:
    parser = command(
        commands,
        "requeue",
        requeue,
        "make failed, timed out or cancelled jobs pending again",
        example="gigq requeue --status failed --error 'no space'",
    )
    selection.add_jobs(parser, _TO_REQUEUE, ", ".join(_FAILED))
    parser.add_argument(
        "--dependents",
        action="store_true",
        help="also the jobs that failed because of these, directly or in turn",
    )
    add_json(parser)


def _add_clear(commands: Commands[argparse.ArgumentParser]) -> None:
    parser = command(
        commands,
        "clear",
        clear,
        "delete completed and cancelled jobs",
        example="gigq clear --before 30d",
    )
    parser.add_argument(
        "--before",
        type=values.age,
        metavar=_AGE,
        help="only those that ended longer ago than this: 30d, 12h",
    )
    add_json(parser)


def _add_prune(commands: Commands[argparse.ArgumentParser]) -> None:
    parser = command(
        commands,
        "prune",
        prune,
        "delete finished jobs by age or number",
        example="gigq prune --before 30d --status failed --dry-run",
    )
    how = parser.add_mutually_exclusive_group(required=True)
    how.add_argument(
        "--before",
        type=values.age,
        metavar=_AGE,
        help="those that ended longer ago than this: 30d, 12h",
    )
    how.add_argument(
        "--keep", type=values.amount, metavar="N", help="all but the N of a status stored last"
    )
    parser.add_argument(
        "--status",
        dest="statuses",
        action="append",
        choices=FINISHED,
        metavar="STATUS",
        help=f"only {choices(FINISHED)} (may be repeated; default: all)",
    )
    parser.add_argument("--dry-run", action="store_true", help="count them only")
    add_json(parser)


def cancel(args: argparse.Namespace) -> int:
    """Cancel pending jobs; with `--running`, request the cancel of running ones, too."""
    with existing_queue(args) as queue:
        found = selection.found(queue, args, _statuses_to_cancel(args))
        ids = [rows[0]["id"] for rows in found.values() if len(rows) == 1]
        changed = set(queue.cancel_many(ids, running=args.running))
        now = _statuses(queue, ids)
        codes = [
            _unclear(args, given, rows)
            or _say_cancelled(args, queue, rows[0]["id"], now, changed=rows[0]["id"] in changed)
            for given, rows in found.items()
        ]
    return max(codes) if codes else _say_none(args)


def _statuses_to_cancel(args: argparse.Namespace) -> list[str]:
    if args.running:
        return _TO_CANCEL
    if JobStatus.RUNNING.value in (args.statuses or ()):
        raise OptionsError("--status running needs --running, which asks running jobs to end")
    return [JobStatus.PENDING.value]


def _say_none(args: argparse.Namespace) -> int:
    if not args.json:
        print("No jobs found.")
    return exits.NEGATIVE


def _say_cancelled(
    args: argparse.Namespace, queue: JobQueue, job_id: str, now: Mapping[str, str], *, changed: bool
) -> int:
    status = now.get(job_id)
    if status is None:
        return not_found(args, job_id)
    shape: dict[str, object] = {
        "id": job_id,
        "cancelled": changed and status == JobStatus.CANCELLED.value,
        "status": status,
    }
    if args.running:
        shape["requested"] = changed
    sentence = _asked(queue, job_id, status) if changed else _not_cancelled(status, args)
    answer(args, shape, f"Job {text.printable(job_id)} {sentence}")
    return exits.OK if changed else exits.NEGATIVE


def _asked(queue: JobQueue, job_id: str, status: str) -> str:
    if status == JobStatus.CANCELLED.value:
        return "cancelled."
    if status != JobStatus.RUNNING.value:
        return f"was asked to end, and is {status}."
    found = queue.get_status(job_id)
    if all(is_plain(one) for one in found.get("executions", ())[-1:]):
        return (
            "is asked to end. It runs in a plain worker, which cannot interrupt it: it goes on "
            "unless it asks current_job().cancel_requested, and will not be tried again."
        )
    return "is asked to end."


def _not_cancelled(status: str, args: argparse.Namespace) -> str:
    running = status == JobStatus.RUNNING.value and not args.running
    hint = "; --running asks it to end" if running else ""
    return f"could not be cancelled: it is {status}{hint}."


def requeue(args: argparse.Namespace) -> int:
    """Make finished jobs pending again."""
    with existing_queue(args) as queue:
        found = selection.found(queue, args, _FAILED)
        ids = [rows[0]["id"] for rows in found.values() if len(rows) == 1]
        done = queue.requeue_many(ids, dependents=args.dependents)
        now = _statuses(queue, [*ids, *done.jobs, *done.refused])
    again, named = set(done.jobs), set(ids)
    codes = [
        _unclear(args, given, rows) or _say_requeued(args, rows[0]["id"], now, done, again)
        for given, rows in found.items()
    ]
    others = [id_ for id_ in (*done.jobs, *done.refused) if id_ not in named]
    codes += [_say_requeued(args, id_, now, done, again) for id_ in others]
    return max(codes) if codes else _say_none(args)


def _say_requeued(
    args: argparse.Namespace,
    job_id: str,
    now: Mapping[str, str],
    done: Requeued,
    again: set[str],
) -> int:
    status = now.get(job_id)
    if status is None:
        return not_found(args, job_id)
    shape: dict[str, object] = {"id": job_id, "requeued": job_id in again, "status": status}
    name = f"Job {text.printable(job_id)}"
    if job_id in again:
        answer(args, shape, f"{name} requeued.")
        return exits.OK
    if args.dependents and again and status not in WITHOUT_SUCCESS:
        answer(args, shape, f"{name} stays as it is: it is {status}.")
        return exits.OK
    reason = done.refused[job_id]
    answer(args, shape | {"reason": reason}, f"{name} could not be requeued: {reason}.")
    return exits.NEGATIVE


def _unclear(args: argparse.Namespace, given: str, rows: Sequence[Row]) -> int:
    """Print that a text matches no job, or several; return 0 when it matches one."""
    if len(rows) == 1:
        return 0
    return ambiguous_id(args, given, rows) if rows else not_found(args, given)


def _statuses(queue: JobQueue, ids: Sequence[str]) -> dict[str, str]:
    return {row["id"]: row["status"] for row in jobs.by_ids(queue._database, ids)}


def clear(args: argparse.Namespace) -> int:
    """Delete completed and cancelled jobs."""
    before = None if args.before is None else clock.after(clock.utc_now(), -args.before)
    with existing_queue(args) as queue:
        cleared = queue.clear_completed(before)
    answer(args, {"cleared": cleared}, f"Cleared {cleared} completed jobs.")
    return exits.OK


def prune(args: argparse.Namespace) -> int:
    """Delete finished jobs by age or number."""
    statuses = args.statuses or FINISHED
    with existing_queue(args) as queue:
        pruned = queue.prune(
            older_than=args.before, keep=args.keep, statuses=statuses, dry_run=args.dry_run
        )
    counts = ", ".join(f"{count} {status}" for status, count in pruned.items())
    sentence = f"{'Would prune' if args.dry_run else 'Pruned'} {counts}."
    answer(args, {"pruned": pruned, "dry_run": args.dry_run}, sentence)
    return exits.OK
