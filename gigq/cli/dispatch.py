"""The way through every `gigq` command: parse, run, and return an exit code for every error."""

from __future__ import annotations

import sys
import traceback
from typing import TYPE_CHECKING, cast

from gigq.cli import errors, exit_codes, output
from gigq.cli.configuration import database_of
from gigq.cli.parser import build_parser
from gigq.command_parser import UsageError, asks_for_json
from gigq.inherited_umask import keep_own_access
from gigq.model.url_passwords import mask_passwords
from gigq.terminal import printable

if TYPE_CHECKING:
    import argparse
    from collections.abc import Sequence


def main(argv: Sequence[str] | None = None) -> int:
    """Run the `gigq` command, as `gigq.cli.main` documents."""
    output.prepare()
    if argv is None:
        keep_own_access()
    given = sys.argv[1:] if argv is None else [*argv]
    parser = build_parser(given)
    if not given:
        return _print_help(parser)
    try:
        args = parser.parse_args(given)
    except UsageError as wrong:
        return _refuse(wrong, as_json=asks_for_json(given))
    return _run(args)


def _print_help(parser: argparse.ArgumentParser) -> int:
    try:
        parser.print_help()
        sys.stdout.flush()
    except OSError:
        output.give_up()
    return exit_codes.USAGE


def _refuse(wrong: UsageError, *, as_json: bool) -> int:
    if as_json:
        output.print_json(mask_passwords(wrong.shape))
    else:
        print(mask_passwords(wrong.text), file=sys.stderr)
    return exit_codes.USAGE


def _run(args: argparse.Namespace) -> int:
    try:
        if getattr(args, "needs_database", True):
            args.db = database_of(args)
        code = cast("int", args.handler(args))
        sys.stdout.flush()
    except BrokenPipeError:
        output.give_up()
        return exit_codes.BROKEN_PIPE
    except KeyboardInterrupt:
        return exit_codes.INTERRUPTED
    except Exception as error:  # noqa: BLE001 - a user's mistake must not end in a traceback
        return _report(error, args)
    return code


def _report(error: Exception, args: argparse.Namespace) -> int:
    if args.debug:
        trace = "".join(traceback.format_exception(error))
        print(mask_passwords(trace), end="", file=sys.stderr)
    code = errors.code_for(error, args.db)
    message = mask_passwords(errors.message_for(error))
    if getattr(args, "json", False) and code != exit_codes.OUTPUT:
        return _report_as_json(code, message)
    print(f"gigq: {printable(message)}", file=sys.stderr)
    if code == exit_codes.OUTPUT:
        output.give_up()
    return code


def _report_as_json(code: int, message: str) -> int:
    try:
        output.print_json({"ok": False, "code": code, "error": message})
        sys.stdout.flush()
    except OSError:
        output.give_up()
        return exit_codes.OUTPUT
    return code
