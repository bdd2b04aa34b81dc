"""The command `gigq submit`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gigq.cli import arguments, exit_codes, job_ids, job_options
from gigq.cli.answers import answer
from gigq.cli.formatting import local_time
from gigq.cli.open_queue import queue_for_submit
from gigq.cli.options import Commands, Namespace, add_code_options, add_json, add_parser
from gigq.cli.user_code import function_at, use_code

if TYPE_CHECKING:
    from gigq.model.job import Job
    from gigq.queue import JobQueue

_LABELS = {"retry_after": "Not before", "expires_at": "Expires"}

_DETAILS = """\
The function is MODULE.FUNCTION, MODULE:FUNCTION or SCRIPT.py:FUNCTION. It is
imported before the submit, so that a wrong name is an error at once. Options
of the function's @task apply where the command line gives none. The answer is
the id of the job."""


def add_command(commands: Commands) -> None:
    """Add the command's parser."""
    parser = add_parser(
        commands,
        "submit",
        submit,
        "store a job",
        example="gigq submit myapp.jobs.resize --name resize -p file=cat.jpg -p width=300",
        details=_DETAILS,
    )
    parser.add_argument(
        "function",
        type=arguments.function_path,
        metavar="MODULE.FUNCTION",
        help="the function to run",
    )
    job_options.add_parameter_options(parser)
    job_options.add_job_options(parser)
    job_options.add_parent_options(parser)
    add_code_options(parser)
    add_json(parser)


def submit(args: Namespace) -> int:
    """Store a job."""
    use_code(args)
    job = job_options.job_of(args, function_at(args.function, args.app_dir))
    with queue_for_submit(args) as queue:
        job.dependencies = job_ids.full_ids(queue, job.dependencies)
        job_id = queue.submit(job)
        times = _times(queue, job)
    lines = [f"{_LABELS[name]}: {local_time(time)}" for name, time in times.items()]
    answer(args, {"id": job_id, **times}, "\n".join([f"Job submitted: {job_id}", *lines]))
    return exit_codes.OK


def _times(queue: JobQueue, job: Job) -> dict[str, str]:
    """Return the times of a job that was submitted with one; the answer has no others."""
    if all(time is None for time in (job.run_at, job.delay, job.expires_in, job.expires_at)):
        return {}
    stored = queue.get_status(job.id)
    return {name: stored[name] for name in _LABELS if stored.get(name)}
