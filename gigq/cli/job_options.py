"""The options of `gigq submit` that define the job: its parameters, its limits, its parents."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gigq.cli import arguments
from gigq.cli.errors import OptionsError
from gigq.cli.options import choices
from gigq.model.job import JOB_OPTIONS, Job
from gigq.model.job_checks import FAILURE_POLICIES
from gigq.task import TaskWrapper

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable

STANDARD_INPUT = "-"
_LARGEST_FILE = 64 * 2**20


def add_parameter_options(parser: argparse.ArgumentParser) -> None:
    """Add the options for parameters; together they may give each parameter only once."""
    add = parser.add_argument
    for flags, kind, what in (
        (
            ("-p", "--param"),
            arguments.parameter,
            "a parameter; JSON, or a string if JSON would change it",
        ),
        (("-t", "--text"), arguments.text_parameter, "a parameter whose value is a string"),
    ):
        add(
            *flags,
            dest="params",
            action="append",
            type=kind,
            default=[],
            metavar="KEY=VALUE",
            help=f"{what} (may be repeated)",
        )
    add(
        "--params-file",
        metavar="FILE",
        help="parameters from a file with a JSON object; - for standard input",
    )


def add_job_options(parser: argparse.ArgumentParser) -> None:
    """Add the options of the job itself."""
    # No defaults here: Job, or the function's @task, has them.
    add = parser.add_argument
    add("--name", help="the job's name (required, unless the function has @task)")
    add("--priority", type=int, metavar="N", help="jobs with higher numbers run first (default: 0)")
    add("--max-attempts", type=arguments.count, metavar="N", help="maximum attempts (default: 3)")
    limit = parser.add_mutually_exclusive_group()
    limit.add_argument(
        "--timeout",
        type=arguments.positive,
        metavar="SECONDS",
        help="maximum run time (default: 300)",
    )
    limit.add_argument("--no-timeout", action="store_true", help="no maximum run time")
    add("--description", metavar="TEXT", help="a longer text for display")
    add(
        "--retry-delay",
        type=arguments.duration,
        metavar="DURATION",
        help="delay after a failed attempt, such as 10m (default: that of [retry])",
    )
    add("--queue", metavar="NAME", help="the named queue (default: default)")
    add_time_options(parser)
    expiry = parser.add_mutually_exclusive_group()
    expiry.add_argument(
        "--expires-in",
        type=arguments.duration,
        metavar="DURATION",
        help="cancel it if it has not started after this time, such as 1h",
    )
    expiry.add_argument(
        "--expires-at",
        type=arguments.moment,
        metavar="TIME",
        help="cancel it if it has not started at this time; written as for --at",
    )


def add_time_options(parser: argparse.ArgumentParser, *also: str, required: bool = False) -> None:
    """Add the options for the time before which a job does not run.

    Args:
        parser: the parser of a command.
        *also: further names of the option `--in`.
        required: True when one of them must be given.
    """
    time = parser.add_mutually_exclusive_group(required=required)
    time.add_argument(
        "--in",
        *also,
        dest="delay",
        type=arguments.duration,
        metavar="DURATION",
        help="run it after this time, such as 90s, 10m or 1h30m",
    )
    time.add_argument(
        "--at",
        dest="run_at",
        type=arguments.moment,
        metavar="TIME",
        help="run it at this time, such as 23:30, 'tomorrow 09:00' or '2026-12-01 09:00'; local "
        "time, unless it has a zone",
    )


def add_parent_options(parser: argparse.ArgumentParser) -> None:
    """Add the options about parents."""
    parser.add_argument(
        "--depends-on",
        dest="dependencies",
        action="append",
        metavar="ID",
        help="a job that must complete first (may be repeated)",
    )
    parser.add_argument(
        "--on-parent-failure",
        choices=FAILURE_POLICIES,
        metavar="WHAT",
        help=f"what to do when that job fails, {choices(FAILURE_POLICIES)} (default: fail)",
    )


def job_of(args: argparse.Namespace, function: Callable[..., Any]) -> Job:
    """Make the job that the options describe.

    Raises:
        OptionsError: a parameter is given twice, a file cannot be read, or the name is missing.
        InvalidJob: a value is not valid.
    """
    params, given = _params(args), _given(args)
    if isinstance(function, TaskWrapper):
        return function.options(**given).to_job(**params)
    if args.name is None:
        raise OptionsError(f"--name is required: {args.function} is not made with @task")
    return Job(function=function, params=params, **given)


def _given(args: argparse.Namespace) -> dict[str, Any]:
    """Return the given options; the others keep the values of the function's @task or of Job."""
    options = {option: getattr(args, option, None) for option in JOB_OPTIONS}
    given = {option: value for option, value in options.items() if value is not None}
    return given | ({"timeout": None} if args.no_timeout else {})


def _params(args: argparse.Namespace) -> dict[str, Any]:
    pairs = [*args.params, *(_in_file(args.params_file) if args.params_file else {}).items()]
    params = dict(pairs)
    if len(params) < len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise OptionsError(f"the parameter {twice!r} is given twice; give it once")
    return params


def _in_file(name: str) -> dict[str, Any]:
    what = "standard input" if name == STANDARD_INPUT else name
    try:
        found = arguments.strict_loads(_content(name, what).decode("utf-8-sig"))
    except OSError as error:
        raise OptionsError(f"--params-file {name}: {error.strerror}") from error
    except RecursionError:
        raise OptionsError(f"{what}: {arguments.TOO_DEEP}") from None
    except UnicodeDecodeError as error:
        raise OptionsError(f"{what}: is not UTF-8 (byte {error.start:,})") from error
    except json.JSONDecodeError as error:
        raise OptionsError(f"{what}: is not JSON: {error}") from error
    except ValueError as error:
        raise OptionsError(f"{what}: {error}") from error
    if not isinstance(found, dict):
        raise OptionsError(f'{what}: holds no JSON object, such as {{"file": "cat.jpg"}}')
    return found


def _content(name: str, what: str) -> bytes:
    if name == STANDARD_INPUT:
        content = sys.stdin.buffer.read(_LARGEST_FILE + 1)
    else:
        with Path(arguments.at_home(name)).open("rb") as file:
            content = file.read(_LARGEST_FILE + 1)
    if len(content) > _LARGEST_FILE:
        raise OptionsError(f"{what}: is larger than {_LARGEST_FILE // 2**20} MiB")
    return content
