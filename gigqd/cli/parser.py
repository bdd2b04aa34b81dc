"""The command line: which commands there are and what each takes."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gigq.command_parser import CommandParser
from gigq.model.units import parse_duration
from gigqd import __version__
from gigqd.cli import asking, checking, lifecycle
from gigqd.cli.terminal import width
from gigqd.config.value_types import NAME

if TYPE_CHECKING:
    from collections.abc import Callable

_LONGEST_WAIT = 1e9
_EPILOG = """\
Without --config the file named by $GIGQD_CONFIG is read, else ./gigq.toml, else /etc/gigq.toml.
Any key can be set in the environment instead: GIGQD_QUEUE__DATABASE, GIGQD_POOLS__DEFAULT__SIZE."""


class _Text(argparse.RawDescriptionHelpFormatter):
    """Help as wide as the terminal; argparse makes one for each option, only to check it."""

    def __init__(self, prog: str) -> None:
        super().__init__(prog, width=(width() or 80) - 2)


class _Parser(CommandParser):
    """A parser whose help is as wide as the terminal."""

    def __init__(self, **given: Any) -> None:
        super().__init__(**{"formatter_class": _Text, **given})


def build_parser() -> argparse.ArgumentParser:
    """The parser of the whole command line; `command` in its result is the function to call."""
    parser = _Parser(
        prog="gigqd",
        description="Run background jobs in a pool of workers that is watched over.",
        epilog=_EPILOG,
    )
    parser.add_argument("--version", action="version", version=f"gigqd {__version__}")
    _add_common(parser, None, debug=False)
    commands = parser.add_subparsers(required=True, metavar="COMMAND", parser_class=_Parser)
    _add_lifecycle(commands)
    _add_asking(commands)
    return parser


def _add_lifecycle(commands: argparse._SubParsersAction[_Parser]) -> None:
    run = _add(
        commands, "run", lifecycle.run, "run in the foreground, as systemd and containers want it"
    )
    run.add_argument(
        "--output", action="store_true", help="write what each attempt has printed to the log too"
    )
    start = _add(commands, "start", lifecycle.start, "detach, and return once the pool is ready")
    _add_wait(start)
    start.add_argument(
        "--strict", action="store_true", help="make it an error (75) if it is already running"
    )
    _add_json(start)
    stop = _add(commands, "stop", lifecycle.stop, "let running jobs finish, then end")
    stop.add_argument("--now", action="store_true", help="hand running jobs back at once")
    stop.add_argument("--force", action="store_true", help="kill a daemon that does not answer")
    _add_json(stop)
    _add_runtime_dir(stop)
    restart = _add(commands, "restart", lifecycle.restart, "stop and start")
    _add_wait(restart)
    _add_json(restart)


def _add_asking(commands: argparse._SubParsersAction[_Parser]) -> None:
    reload = _add(commands, "reload", asking.reload, "take the configuration and code on disk")
    reload.add_argument(
        "--wait",
        action="store_true",
        help="return once no worker with the old configuration or code is left",
    )
    pause = _add(commands, "pause", asking.pause, "start no more jobs; running ones go on")
    resume = _add(commands, "resume", asking.resume, "start jobs again")
    status = _add(commands, "status", asking.status, "show the daemon and each of its slots")
    within = ((reload, 60.0), (pause, 5.0), (resume, 5.0), (status, asking.STATUS_WITHIN))
    for parser, seconds in within:
        _add_timeout(parser, seconds)
        _add_json(parser)
        _add_runtime_dir(parser)
    check = _add(commands, "check", checking.check, "validate the configuration")
    check.add_argument("--db", action="store_true", help="open the database as well")
    check.add_argument(
        "--import",
        action="store_true",
        dest="imports",
        help="import the configured modules as well",
    )
    check.add_argument(
        "--init",
        action="store_true",
        help="begin the queue, where one was lost or in a database of another program, and end",
    )
    _add_json(check)


def _add(
    commands: argparse._SubParsersAction[_Parser],
    name: str,
    command: Callable[[argparse.Namespace], int],
    text: str,
) -> _Parser:
    parser = commands.add_parser(name, help=text, description=text[0].upper() + text[1:] + ".")
    # Also understood behind the command; absent there, they must not undo what stood before it.
    _add_common(parser, argparse.SUPPRESS, debug=argparse.SUPPRESS)
    parser.set_defaults(command=command)
    return parser


def _add_common(parser: argparse.ArgumentParser, absent: str | None, *, debug: bool | str) -> None:
    parser.add_argument(
        "--config", type=Path, default=absent, metavar="FILE", help="the configuration file"
    )
    parser.add_argument(
        "--name", type=_name, default=absent, help="which daemon, instead of daemon.name"
    )
    parser.add_argument("--debug", action="store_true", default=debug, help="show tracebacks")


def _add_wait(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--wait",
        type=_seconds,
        default=60.0,
        metavar="SECONDS",
        help="how long to wait until it is ready (60)",
    )


def _add_timeout(parser: argparse.ArgumentParser, default: float) -> None:
    parser.add_argument(
        "--timeout",
        type=_seconds,
        default=default,
        metavar="SECONDS",
        help=f"how long to wait at most ({default:g})",
    )


def _add_runtime_dir(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--runtime-dir",
        type=Path,
        metavar="DIR",
        help="where its lock and socket are, for when the file cannot be read any more",
    )


def _add_json(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--json", action="store_true", help="answer in JSON, for programs")


def _name(text: str) -> str:
    if not NAME.fullmatch(text):
        raise argparse.ArgumentTypeError(f"{text!r} is not a name (letters, digits, . _ -)")
    return text


def _seconds(text: str) -> float:
    try:
        seconds = parse_duration(text, bare=1.0)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None
    if not 0.0 < seconds < _LONGEST_WAIT:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of seconds above 0")
    return seconds
