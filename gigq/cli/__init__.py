"""The `gigq` command: one `main`, which turns every ending into an exit code."""

from __future__ import annotations

import sys
import traceback
from typing import TYPE_CHECKING, cast

from gigq.cli import exits, failures, terminal, text
from gigq.cli.loading import database_of
from gigq.cli.parser import build_parser

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
        SystemExit: the arguments are wrong (2), or only asked for help or the version (0).
    """
    terminal.prepare()
    args = build_parser().parse_args(argv)
    try:
        if hasattr(args, "app_dir"):
            # The user's code is imported first, and may change the working directory.
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
    print(f"gigq: {text.printable(failures.message_for(error))}", file=sys.stderr)
    code = failures.code_for(error, args.db)
    if code == exits.OUTPUT:
        terminal.give_up_output()
    return code
