"""The command `gigqd status`."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from gigq.terminal import columns
from gigqd import exit_codes
from gigqd.cli import all_daemons
from gigqd.cli.control_client import Client, NotAnswering, NotRunning, understand
from gigqd.cli.daemon_view import describe
from gigqd.cli.find_daemon import runtime_files_of
from gigqd.cli.options import Commands, Namespace, add_flag, add_parser, add_request_options
from gigqd.cli.output import print_answer, print_json
from gigqd.errors import GigqdError
from gigqd.host import pidfile

if TYPE_CHECKING:
    from gigqd.host.runtime_files import RuntimeFiles


_TIMEOUT = 0.8
"""Seconds: with the start of the command itself, the answer is there within one."""

_DETAILS = """\
The exit code is 0 if the daemon runs, 1 if only its pid file is left, 3 if it
does not run, and 4 if it does not answer. With --all the database answers, as
in `gigq workers`: 0 if a daemon runs, 3 if none does, 69 without an answer."""


def add_command(commands: Commands) -> None:
    """Add the command's parser."""
    what = "show the daemon, each of its slots and the recent failures"
    parser = add_parser(commands, "status", status, what, _DETAILS)
    add_flag(parser, "--all", "show all daemons of the queue, on every host")
    add_request_options(parser, _TIMEOUT)


def status(options: Namespace) -> int:
    """Show the daemon; the exit code is the one that the LSB defines for an init script."""
    if options.all:
        return all_daemons.status(options)
    try:
        runtime_files = runtime_files_of(options)
    except GigqdError as error:
        return _report_unknown(None, error, as_json=options.json)
    try:
        answer = Client(runtime_files).ask("status", within=options.timeout)
        text = understand(lambda answer: describe(answer, columns(1)), answer)
    except NotRunning:
        return _report_not_running(runtime_files, as_json=options.json)
    except GigqdError as error:
        return _report_unknown(runtime_files, error, as_json=options.json)
    if options.json:
        print_json(answer)
    else:
        print_answer(text)
    return exit_codes.STATUS_RUNNING


def _report_not_running(runtime_files: RuntimeFiles, *, as_json: bool) -> int:
    left = os.path.lexists(runtime_files.pid_path)
    pid = pidfile.read(runtime_files.pid_path)
    code = exit_codes.STATUS_STALE if left else exit_codes.STATUS_STOPPED
    if as_json:
        state = "dead" if left else "stopped"
        print_json({"ok": False, "code": code, "state": state, "stale_pid": pid})
    elif left:
        who = f" (pid {pid})" if pid else ""
        print_answer(
            f"gigqd is not running, but its pid file is left{who}: {runtime_files.pid_path}"
        )
    else:
        print_answer("gigqd is not running")
    return code


def _report_unknown(runtime_files: RuntimeFiles | None, error: GigqdError, *, as_json: bool) -> int:
    code = exit_codes.STATUS_UNKNOWN
    if as_json:
        known = (
            runtime_files.running() if runtime_files and isinstance(error, NotAnswering) else None
        )
        facts = {"state": "not answering", "pid": known.pid if known else None}
        print_json({"ok": False, "code": code, "error": str(error), **facts})
    else:
        print_answer(f"gigqd: {error}")
    return code
