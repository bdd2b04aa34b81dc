"""The command line of `gigqd`. The module of each command adds the command's own options."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

from gigq import __version__
from gigqd.cli.options import Parser, add_common_options

if TYPE_CHECKING:
    from collections.abc import Sequence

MODULES = {
    "run": "run",
    "start": "start",
    "stop": "stop",
    "restart": "restart",
    "reload": "reload",
    "pause": "pause",
    "resume": "pause",
    "status": "status",
    "check": "check",
    "config": "packaged_files",
    "systemd": "systemd_files",
    "completion": "packaged_files",
}
"""The commands, in the order of the help, and the modules of `gigqd.cli` that run them."""

VARIABLES = {
    "GIGQD_CONFIG": "the configuration file, when --config is not given",
    "GIGQD_TABLE__KEY": "any key, such as GIGQD_QUEUE__DATABASE or GIGQD_POOLS__DEFAULT__SIZE",
}
"""The variables that the commands read, and their meanings."""

_EPILOG = """\
Without --config the file named by $GIGQD_CONFIG is read, else ./gigq.toml, else /etc/gigq.toml.
Any key can be set in the environment instead: GIGQD_QUEUE__DATABASE, GIGQD_POOLS__DEFAULT__SIZE."""


def build_parser(given: Sequence[str] = ()) -> Parser:
    """Return the parser of a command line; `handler` in its result runs the chosen command.

    Args:
        given: the command line. If it has a command, only that command is imported.
    """
    parser = Parser(
        prog="gigqd",
        description="Run background jobs in a supervised pool of workers.",
        epilog=_EPILOG,
    )
    version = f"gigqd {__version__}"
    parser.add_argument("--version", action="version", version=version, help="show the version")
    add_common_options(parser, None, debug=False)
    commands = parser.add_subparsers(required=True, metavar="COMMAND", parser_class=Parser)
    command = parser.command_in(given)
    for module in [MODULES[command]] if command in MODULES else dict.fromkeys(MODULES.values()):
        import_module(f"gigqd.cli.{module}").add_command(commands)
    return parser
