"""The commands about single jobs: submit, status, list, cancel, requeue."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from gigq.cli import exits, shapes, terminal, text
from gigq.cli.loading import function_at
from gigq.cli.opening import any_queue, existing_queue
from gigq.job import Job
from gigq.task import TaskWrapper

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable, Iterable, Mapping

    from gigq.queue import JobQueue

JOB_OPTIONS = (
    "name",
    "dependencies",
    "priority",
    "max_attempts",
    "timeout",
    "description",
    "retry_delay",
    "queue",
    "on_parent_failure",
)
TITLES = ("ID", "Name", "Status", "Priority", "Created", "Updated")


def submit(args: argparse.Namespace) -> int:
    """Store a job."""
    job = _job(args, function_at(args.function, args.app_dir))
    with any_queue(args) as queue:
        job_id = queue.submit(job)
    _answer(args, {"id": job_id}, f"Job submitted: {job_id}")
    return exits.OK


def status(args: argparse.Namespace) -> int:
    """Show one job."""
    with existing_queue(args) as queue:
        found = queue.get_status(args.job_id)
    if not found["exists"]:
        return _not_found(args)
    if args.json:
        terminal.print_json(shapes.job_with_executions(found))
    else:
        print("\n\n".join(_described(found, args)))
    return exits.OK


def list_jobs(args: argparse.Namespace) -> int:
    """List jobs, the newest first."""
    with existing_queue(args) as queue:
        found = queue.list_jobs(args.status, args.limit, queue=args.queue)
    if args.json:
        for row in found:
            terminal.print_json(shapes.job(row))
    else:
        print(_listed(found) if found else "No jobs found.")
    return exits.OK


def cancel(args: argparse.Namespace) -> int:
    """Cancel a pending job."""
    with existing_queue(args) as queue:
        return _change(args, queue, queue.cancel, "cancelled")


def requeue(args: argparse.Namespace) -> int:
    """Make a finished job pending again."""
    with existing_queue(args) as queue:
        return _change(args, queue, queue.requeue_job, "requeued")


def _job(args: argparse.Namespace, function: Callable[..., Any]) -> Job:
    params = dict(args.params)
    if isinstance(function, TaskWrapper):
        job = function.to_job(**params)
    else:
        job = Job(args.name, function, params)
    for option, value in _given(args).items():
        setattr(job, option, value)
    return job


def _given(args: argparse.Namespace) -> dict[str, Any]:
    """The options that were given; the others stay as the function's @task or Job has them."""
    options = {option: getattr(args, option) for option in JOB_OPTIONS}
    given = {option: value for option, value in options.items() if value is not None}
    return given | ({"timeout": None} if args.no_timeout else {})


def _change(
    args: argparse.Namespace, queue: JobQueue, change: Callable[[str], bool], done: str
) -> int:
    changed = change(args.job_id)
    found = queue.get_status(args.job_id)
    if not found["exists"]:
        return _not_found(args)
    refusal = f"could not be {done}: it is {found['status']}."
    _answer(
        args,
        {"id": args.job_id, done: changed, "status": found["status"]},
        f"Job {text.printable(args.job_id)} {f'{done}.' if changed else refusal}",
    )
    return exits.OK if changed else exits.NEGATIVE


def _not_found(args: argparse.Namespace) -> int:
    _answer(
        args,
        {"id": args.job_id, "exists": False},
        f"Job {text.printable(args.job_id)} not found.",
    )
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


def _described(found: Mapping[str, Any], args: argparse.Namespace) -> Iterable[str]:
    """The parts of `gigq status` that were asked for."""
    yield text.fields(_job_fields(found))
    if args.show_params:
        pairs = [(key, _as_json(value)) for key, value in (found["params"] or {}).items()]
        yield "Parameters:\n" + (text.fields(pairs, "  ") or "  none")
    if args.show_result:
        yield "Result:\n" + text.indented(json.dumps(found["result"], indent=2), "  ")
    if args.show_executions:
        parts = [text.fields(_execution_fields(one), "  ") for one in found["executions"]]
        yield "Executions:\n" + ("\n\n".join(parts) or "  none")


def _job_fields(found: Mapping[str, Any]) -> Iterable[tuple[str, object]]:
    yield "Job", f"{found['name']} ({found['id']})"
    yield "Status", found["status"]
    yield "Created", text.local_time(found["created_at"])
    yield "Updated", text.local_time(found["updated_at"])
    yield "Started", text.local_time(found["started_at"])
    yield "Completed", text.local_time(found["completed_at"])
    yield "Attempts", f"{found['attempts']} / {found['max_attempts']}"
    yield "Queue", found["queue"]
    if found["retry_after"]:
        yield "Not before", text.local_time(found["retry_after"])
    if found["dependencies"]:
        yield "Depends on", ", ".join(found["dependencies"])
    if found["worker_id"]:
        yield "Worker", found["worker_id"]
    if found["cause"]:
        yield "Cause", found["cause"]
    if found["error"]:
        yield "Error", found["error"]


def _execution_fields(one: Mapping[str, Any]) -> Iterable[tuple[str, object]]:
    yield "Execution", one["id"]
    yield "Attempt", one["attempt"] or "-"
    yield "Status", one["status"]
    yield "Worker", one["worker_id"] or "-"
    yield "Started", text.local_time(one["started_at"])
    yield "Completed", text.local_time(one["completed_at"])
    yield "Took", text.seconds(one["started_at"], one["completed_at"])
    for label in ("cause", "exit_code", "signal", "error", "note", "stack", "output"):
        if one[label] is not None:
            yield label.replace("_", " ").capitalize(), one[label]


def _as_json(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value)
