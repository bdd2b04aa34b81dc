"""The command `gigq submit`."""

from __future__ import annotations

from gigq.cli import arguments, exit_codes, job_ids, job_options
from gigq.cli.answers import answer
from gigq.cli.open_queue import queue_for_submit
from gigq.cli.options import Commands, Namespace, add_code_options, add_json, add_parser
from gigq.cli.user_code import function_at, use_code

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
    answer(args, {"id": job_id}, f"Job submitted: {job_id}")
    return exit_codes.OK
