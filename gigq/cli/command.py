"""The `gigq` command as a whole: every error becomes an exit code."""

from __future__ import annotations

import sys
import traceback
from typing import TYPE_CHECKING, cast

from gigq.cli import exits, failures, terminal, text
from gigq.cli.loading import database_of
from gigq.cli.parser import build_parser
from gigq.command_parser import UsageError, asks_for_json
from gigq.inherited_umask import keep_own_access

if TYPE_CHECKING:
    import argparse
    from collections.abc import Sequence

__all__ = ["main"]


def main(argv: Sequence[str] | None = None) -> int:
    """Run the `gigq` command.

    Args:
        argv: the arguments after the command's name; those of the process when None.

    Returns:
        The exit code; `gigq.cli.exits` lists them.

    Raises:
        SystemExit: the arguments requested only help or the version (0).
    """
    terminal.prepare()
    if argv is None:
        keep_own_access()
    given = sys.argv[1:] if argv is None else [*argv]
    parser = build_parser()
    if not given:
        return _help(parser)
    try:
        args = parser.parse_args(given)
    except UsageError as wrong:
        return _refuse(wrong, as_json=asks_for_json(given))
    return _run(args)


def _help(parser: argparse.ArgumentParser) -> int:
    try:
        parser.print_help()
        sys.stdout.flush()
    except OSError:
        terminal.give_up_output()
    return exits.USAGE


def _refuse(wrong: UsageError, *, as_json: bool) -> int:
    if as_json:
        terminal.print_json(wrong.shape)
    else:
        print(wrong.text, file=sys.stderr)
    return exits.USAGE


def _run(args: argparse.Namespace) -> int:
    try:
        args.db = database_of(args)
        code = cast("int", args.handler(args))
        sys.stdout.flush()
    except BrokenPipeError:
        terminal.give_up_output()
        return exits.BROKEN_PIPE
    except KeyboardInterrupt:
        return exits.INTERRUPTED
    except Exception as error:  # noqa: BLE001 - a user's mistake must not end in a traceback
        return _failed(error, args)
    return code


def _failed(error: Exception, args: argparse.Namespace) -> int:
    if args.debug:
        traceback.print_exception(error)
    code = failures.code_for(error, args.db)
    message = failures.message_for(error)
    if getattr(args, "json", False) and code != exits.OUTPUT:
        return _say_in_json(code, message)
    print(f"gigq: {text.printable(message)}", file=sys.stderr)
    if code == exits.OUTPUT:
        terminal.give_up_output()
    return code


def _say_in_json(code: int, message: str) -> int:
    try:
        terminal.print_json({"ok": False, "code": code, "error": message})
        sys.stdout.flush()
    except OSError:
        terminal.give_up_output()
        return exits.OUTPUT
    return code
