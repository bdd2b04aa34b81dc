"""The command `gigqd restart`."""

from __future__ import annotations

import os

from gigqd.cli.find_daemon import runtime_files_of
from gigqd.cli.options import Commands, Namespace, add_json, add_parser, add_wait, longest_wait
from gigqd.cli.output import Result, print_answer
from gigqd.cli.start import start_daemon
from gigqd.cli.start_checks import refuse_as_a_start, refuse_in_a_unit, refuse_unusable_host
from gigqd.cli.stop import stop_daemon
from gigqd.config import load
from gigqd.errors import GigqdError

_DETAILS = """\
The configuration, the database and the imports are checked first. If a start
would fail, the running daemon continues, and the exit code is that of the
failed start."""


def add_command(commands: Commands) -> None:
    """Add the command's parser."""
    parser = add_parser(commands, "restart", restart, "stop and start", _DETAILS)
    add_wait(parser)
    add_json(parser)


def restart(options: Namespace) -> int:
    """Stop and start; the running daemon stays if the new configuration could not start."""
    refuse_unusable_host()
    refuse_in_a_unit()
    config = load(options.config, os.environ)
    options.now, options.force, options.runtime_dir = False, False, None
    if (running := runtime_files_of(options).running()) is not None:
        try:
            refuse_as_a_start(config, running.pid, longest_wait(options, config))
        except GigqdError as error:
            text = f"not restarted, the running daemon continues: {error}"
            return Result(error.exit_code, text, {"pid": running.pid}).write(as_json=options.json)
    stopped = stop_daemon(options)
    if stopped.code:
        return stopped.write(as_json=options.json)
    if not options.json:
        print_answer(stopped.text)
    started = start_daemon(options)
    facts = {**started.facts, "stopped": stopped.facts}
    return started._replace(facts=facts).write(as_json=options.json)
