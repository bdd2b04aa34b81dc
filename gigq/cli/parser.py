"""The command line of `gigq`: every command, option and default."""

from __future__ import annotations

import argparse
import re
from typing import Any, NoReturn

from gigq import __version__
from gigq.cli import admin, backup, changing, doctor, job_options, jobs, listing, logs, values
from gigq.cli.commands import Commands, add_common, add_json, command
from gigq.cli.values import DefaultText, from_environment
from gigq.command_parser import CommandParser

DESCRIPTION = "Submit jobs to a gigq queue, inspect them, and run them."
ENVIRONMENT = """\
environment:
  GIGQ_DB                the database, when --db is not given
  GIGQD_CONFIG           gigqd's configuration, when neither is given
  GIGQ_APP_DIR           the folder of your code, when --app-dir is not given
  GIGQ_WORKER_ID         the worker's name, when --worker-id is not given
  GIGQ_POLLING_INTERVAL  seconds, when --polling-interval is not given
  NO_COLOR               set to anything: no colour

exit codes:
  0 done   1 the answer is no   2 usage   69 no usable database
  77 no permission   130 interrupted"""


class _Parser(CommandParser):
    """A parser whose errors name the option for a parameter."""

    def error(self, message: str) -> NoReturn:
        left_over = message.startswith("unrecognized arguments: ")
        if left_over and re.search(r" [A-Za-z_]\w*=", message):
            message += "; a parameter of a job is written -p KEY=VALUE"
        super().error(message)


def build_parser() -> argparse.ArgumentParser:
    """Return the parser of the whole command; `handler` in its result runs the chosen command."""
    parser = _Parser(
        prog="gigq",
        description=DESCRIPTION,
        epilog=ENVIRONMENT,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("--version", action="version", version=f"gigq {__version__}")
    default = DefaultText(from_environment("GIGQ_DB", "gigq.db"))
    parser.set_defaults(db=default, config=None, debug=False)
    add_common(parser)
    commands: Commands[Any] = parser.add_subparsers(
        dest="command", metavar="COMMAND", required=True
    )
    for add in (
        _submit,
        _status,
        _logs,
        listing.add_commands,
        changing.add_commands,
        _backup,
        _doctor,
        _worker,
    ):
        add(commands)
    return parser


def _add_code_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--app-dir",
        metavar="DIR",
        default=from_environment("GIGQ_APP_DIR", "."),
        help="the folder to import your code from (default: the working directory)",
    )
    parser.add_argument(
        "--import",
        dest="imports",
        action="append",
        default=[],
        metavar="MODULE",
        help="import this module first; it sets up your code (may be repeated)",
    )


def _submit(commands: Commands[argparse.ArgumentParser]) -> None:
    parser = command(
        commands,
        "submit",
        jobs.submit,
        "store a job",
        example="gigq submit myapp.jobs.resize --name resize -p file=cat.jpg -p width=300",
    )
    parser.add_argument(
        "function", type=values.function_path, metavar="MODULE.FUNCTION", help="the function to run"
    )
    job_options.add_parameter_options(parser)
    job_options.add_job_options(parser)
    job_options.add_parent_options(parser)
    _add_code_options(parser)
    add_json(parser)


def _status(commands: Commands[argparse.ArgumentParser]) -> None:
    parser = command(commands, "status", jobs.status, "show one job", example="gigq status ID")
    parser.add_argument("job_id", metavar="ID")
    parser.add_argument("--show-params", action="store_true", help="its parameters too")
    parser.add_argument("--show-result", action="store_true", help="its result too")
    parser.add_argument("--show-executions", action="store_true", help="its attempts too")
    add_json(parser)


def _logs(commands: Commands[argparse.ArgumentParser]) -> None:
    parser = command(
        commands,
        "logs",
        logs.logs,
        "show the output of a job's last attempt",
        example="gigq logs -f ID",
    )
    add = parser.add_argument
    add("job_id", metavar="ID")
    add("--attempt", type=values.count, metavar="N", help="show attempt N instead, from 1")
    how = parser.add_mutually_exclusive_group()
    how.add_argument(
        "-f",
        "--follow",
        action="store_true",
        help="follow the output until the job, or the attempt N, is finished",
    )
    how.add_argument("--json", action="store_true", help="print JSON")


def _backup(commands: Commands[argparse.ArgumentParser]) -> None:
    parser = command(
        commands,
        "backup",
        backup.backup,
        "copy the database to a file while it is in use, and verify the copy",
        example="gigq backup /backup/jobs.db --force",
    )
    parser.add_argument("target", metavar="DEST")
    parser.add_argument("--force", action="store_true", help="replace DEST if it exists")
    add_json(parser)


def _doctor(commands: Commands[argparse.ArgumentParser]) -> None:
    parser = command(
        commands,
        "doctor",
        doctor.doctor,
        "check the database, and show what is wrong and what to do",
        example="gigq doctor --integrity",
    )
    how = parser.add_mutually_exclusive_group()
    for option, check, what in (
        ("--integrity", "full", "check every page and index"),
        ("--quick", "quick", "check every page"),
    ):
        how.add_argument(option, dest="check", action="store_const", const=check, help=what)
    add_json(parser)


_FLAGS_OF_A_WORKER = {
    "--once": "run one due job, then exit",
    "--init": "create a queue where one was lost, or in a database of another program",
}


def _worker(commands: Commands[argparse.ArgumentParser]) -> None:
    parser = command(
        commands,
        "worker",
        admin.worker,
        "run jobs until stopped",
        example="gigq worker --queue mail --queue default --concurrency 4",
    )
    add = parser.add_argument
    add(
        "--worker-id",
        default=from_environment("GIGQ_WORKER_ID", "") or None,
        metavar="NAME",
        help="its name in the records (default: generated)",
    )
    add(
        "--polling-interval",
        type=values.positive,
        metavar="SECONDS",
        help="longest wait between two polls for jobs (default: 5)",
    )
    for option, what in _FLAGS_OF_A_WORKER.items():
        add(option, action="store_true", help=what)
    add(
        "--concurrency",
        type=values.count,
        default=1,
        metavar="N",
        help="jobs at a time, in threads (default: 1)",
    )
    add(
        "--max-result-size",
        type=values.size,
        metavar="SIZE",
        help="largest result of a job, as JSON, such as 4MiB (default: 1MiB)",
    )
    add(
        "--queue",
        dest="queues",
        action="append",
        metavar="NAME",
        help="only this queue (may be repeated; '*' with '!NAME': all but NAME; default: all)",
    )
    add("--hooks", metavar="MODULE", help="call its functions around each job")
    _add_code_options(parser)
