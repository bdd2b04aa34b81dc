"""The command line of `gigq`. The module of each command adds the command's own options."""

from __future__ import annotations

import argparse
import re
from importlib import import_module
from typing import TYPE_CHECKING, NoReturn

from gigq import __version__
from gigq.cli.arguments import DefaultText, from_environment
from gigq.cli.options import add_common_options
from gigq.command_parser import CommandParser
from gigq.model.option_names import OURS
from gigq.nearest import nearest

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

MODULES = {
    "submit": "submit",
    "status": "status",
    "logs": "logs",
    "list": "list_jobs",
    "stats": "stats",
    "cancel": "cancel",
    "requeue": "requeue",
    "run-now": "reschedule",
    "reschedule": "reschedule",
    "pause": "pause",
    "resume": "pause",
    "clear": "clear",
    "prune": "prune",
    "migrate": "migrate",
    "backup": "backup",
    "doctor": "doctor",
    "worker": "worker",
    "workers": "workers",
    "completion": "completion",
}
"""The commands, in the order of the help, and the modules of `gigq.cli` that run them."""

DESCRIPTION = "Submit jobs to a gigq queue, inspect them, and run them."
VARIABLES = {
    "GIGQ_DB": "the database, when --db is not given",
    "GIGQD_CONFIG": "the configuration of gigqd, without --db and --config",
    "GIGQ_APP_DIR": "the folder of your code, when --app-dir is not given",
    "GIGQ_WORKER_ID": "the worker's name, when --worker-id is not given",
    "GIGQ_POLLING_INTERVAL": "seconds, when --polling-interval is not given",
    "NO_COLOR": "any value disables colours",
}
"""The variables that the commands read, and their meanings. An empty variable counts as unset."""

_EXIT_CODES = """\
exit codes:
  0 done   1 the answer is no   2 usage   69 no usable database
  77 no permission   130 interrupted"""


class _Parser(CommandParser):
    """A parser whose errors name the option that was probably meant."""

    def error(self, message: str) -> NoReturn:
        if message.startswith("unrecognized arguments: "):
            message += self._remedy(message)
        super().error(message)

    def _remedy(self, message: str) -> str:
        if unknown := re.search(r" (--[a-z][\w-]*)", message):
            return self._meant(unknown[1])
        if re.search(r" [A-Za-z_]\w*=", message):
            return "; a parameter of a job is written -p KEY=VALUE"
        return ""

    def _meant(self, flag: str) -> str:
        """Return the option for a name of the Python API or of another queue, or the nearest."""
        name = flag[2:].replace("-", "_")
        ours = OURS.get(name, name)
        flags = {action.dest: action.option_strings[0] for action in self._options()}
        if ours.partition(",")[0] in flags:
            return "; use " + re.sub(r"\w+", lambda word: flags.get(word[0], word[0]), ours)
        near = nearest(flag, (flag for one in self._options() for flag in one.option_strings))
        return f"; did you mean {near}?" if near else ""

    def _options(self) -> list[argparse.Action]:
        """Return the options of the commands."""
        commands = [one for one in self._actions if isinstance(one, argparse._SubParsersAction)]
        parsers = [parser for one in commands for parser in one.choices.values()]
        return [each for one in parsers for each in one._actions if each.option_strings]


def _variables() -> Iterator[str]:
    return (f"  {name:<21}  {meaning}" for name, meaning in VARIABLES.items())


def build_parser(given: Sequence[str] = ()) -> argparse.ArgumentParser:
    """Return the parser of a command line; `handler` in its result runs the chosen command.

    Args:
        given: the command line. If it has a command, only that command is imported.
    """
    parser = _Parser(
        prog="gigq",
        description=DESCRIPTION,
        epilog="\n".join(["environment:", *_variables(), "", _EXIT_CODES]),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    version = f"gigq {__version__}"
    parser.add_argument("--version", action="version", version=version, help="show the version")
    default = DefaultText(from_environment("GIGQ_DB", "gigq.db"))
    parser.set_defaults(db=default, config=None, debug=False)
    add_common_options(parser)
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", required=True)
    command = parser.command_in(given)
    modules = (MODULES[command],) if command in MODULES else dict.fromkeys(MODULES.values())
    for module in modules:
        import_module(f"gigq.cli.{module}").add_command(commands)
    return parser
