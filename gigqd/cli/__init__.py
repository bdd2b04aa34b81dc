"""The `gigqd` command."""

from __future__ import annotations

import os
import sys
from contextlib import suppress
from typing import TYPE_CHECKING

from gigq.command_parser import UsageError, asks_for_json
from gigq.configuration_file import search
from gigq.inherited_signals import restore_signals
from gigq.inherited_umask import keep_own_access
from gigqd import exit_codes
from gigqd.cli.find_daemon import use_name
from gigqd.cli.output import OutputFailed, print_answer, print_error, print_json
from gigqd.cli.parser import build_parser
from gigqd.errors import ConfigError, GigqdError, unexpected
from gigqd.host.daemonize import repair_standard_streams
from gigqd.process.process_tag import make_room

if TYPE_CHECKING:
    import argparse
    from collections.abc import Sequence


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the `gigqd` command.

    Args:
        arguments: the arguments after the command's name; those of the process when None.

    Returns:
        The exit code.
    """
    repair_standard_streams()
    if arguments is None:
        restore_signals()
        keep_own_access()
        make_room()
    given = sys.argv[1:] if arguments is None else [*arguments]
    parser = build_parser(given)
    if not given:
        with suppress(GigqdError, OSError):  # the exit code has to be enough
            print_answer(parser.format_help().rstrip())
        return exit_codes.USAGE
    try:
        options = parser.parse_args(given)
    except UsageError as wrong:
        return _refuse_usage(wrong, as_json=asks_for_json(given))
    use_name(options)
    _warn_of_unused_file(options)
    return _run(options)


def _warn_of_unused_file(options: argparse.Namespace) -> None:
    """Warn that a configuration of the folder is not used: the command may reach another daemon."""
    if options.config is None and (refused := search(os.environ).refused):
        print_error(f"gigqd: warning: {refused}")


def _refuse_usage(wrong: UsageError, *, as_json: bool) -> int:
    if as_json:
        print_json(wrong.shape)
    else:
        print_error(wrong.text)
    return exit_codes.USAGE


def _run(options: argparse.Namespace) -> int:
    try:
        return int(options.handler(options))
    except GigqdError as error:
        return _refuse(error, options)
    except KeyboardInterrupt:
        return _fail("gigqd: interrupted", exit_codes.INTERRUPTED, options)
    except BrokenPipeError:
        return _fail("", exit_codes.BROKEN_PIPE, options)
    except Exception as error:  # noqa: BLE001 - a defect must end in one line, too
        defect = unexpected(error)
        text = f"{defect} (--debug shows where)"
        return _refuse(GigqdError(text, exit_code=defect.exit_code), options)


def _refuse(error: GigqdError, options: argparse.Namespace) -> int:
    if not getattr(options, "json", False) or isinstance(error, OutputFailed):
        start = "" if isinstance(error, ConfigError) else "gigqd: "
        return _fail(f"{start}{error}", error.exit_code, options)
    try:
        print_json({"ok": False, "code": error.exit_code, "error": str(error)})
    except (GigqdError, OSError) as worse:
        return _fail(f"gigqd: {worse}", exit_codes.OUTPUT_FAILED, options)
    return error.exit_code


def _fail(text: str, code: int, options: argparse.Namespace) -> int:
    if options.debug:
        import traceback

        traceback.print_exc(file=sys.stderr)
    if text:
        print_error(text)
    return code
