"""The command `gigq clear`."""

from __future__ import annotations

from gigq import job_queries
from gigq.cli import arguments, exit_codes
from gigq.cli.answers import answer
from gigq.cli.open_queue import existing_queue
from gigq.cli.options import Commands, Namespace, add_json, add_parser

_DETAILS = """\
Jobs that an unfinished job depends on are kept."""


def add_command(commands: Commands) -> None:
    """Add the command's parser."""
    what, example = "delete completed and cancelled jobs", "gigq clear --before 30d"
    parser = add_parser(commands, "clear", clear, what, example=example, details=_DETAILS)
    parser.add_argument(
        "--before",
        type=arguments.age,
        metavar="DURATION",
        help="only jobs that ended longer ago than this, such as 30d or 12h",
    )
    add_json(parser)


def clear(args: Namespace) -> int:
    """Delete completed and cancelled jobs."""
    with existing_queue(args) as queue:
        before = job_queries.ago(args.before, queue._database.now)
        cleared = queue.clear_completed(before)
    answer(args, {"cleared": cleared}, f"Cleared {cleared} completed jobs.")
    return exit_codes.OK
