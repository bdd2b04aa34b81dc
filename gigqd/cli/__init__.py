"""The `gigqd` command."""

from __future__ import annotations

import sys
import traceback
from typing import TYPE_CHECKING

from gigqd import exits
from gigqd.cli.parser import build_parser
from gigqd.cli.terminal import complain
from gigqd.daemonize import repair_standard_streams
from gigqd.errors import ConfigError, GigqdError
from gigqd.tag import make_room

if TYPE_CHECKING:
    from collections.abc import Sequence

_INTERRUPTED = 130


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command.

    Args:
        arguments: the command line without the program's name; None takes the process's own.

    Returns:
        The exit code; docs/cli.md lists them.
    """
    repair_standard_streams()
    if arguments is None:
        make_room()
    options = build_parser().parse_args(arguments)
    try:
        return int(options.command(options))
    except ConfigError as error:
        return _fail(str(error), error.exit_code, debug=options.debug)
    except GigqdError as error:
        return _fail(f"gigqd: {error}", error.exit_code, debug=options.debug)
    except KeyboardInterrupt:
        return _fail("gigqd: interrupted", _INTERRUPTED, debug=options.debug)
    except BrokenPipeError:
        return _fail("", exits.FAILED, debug=options.debug)
    except Exception as error:  # noqa: BLE001 - a defect is told in one line, too
        text = f"gigqd: internal error: {type(error).__name__}: {error} (--debug shows where)"
        return _fail(text, exits.INTERNAL_ERROR, debug=options.debug)


def _fail(text: str, code: int, *, debug: bool) -> int:
    if debug:
        traceback.print_exc(file=sys.stderr)
    if text:
        complain(text)
    return code
