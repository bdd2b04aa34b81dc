"""The `gigq` command: `main` checks the installed files and runs the command.

No other module of `gigq` is imported before the check: another distribution may have replaced it.
"""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING

from gigq.cli import exit_codes, installation

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["main"]


def main(argv: Sequence[str] | None = None) -> int:
    """Run the `gigq` command.

    Args:
        argv: the arguments after the command's name; those of the process when None.

    Returns:
        The exit code; `gigq.cli.exit_codes` lists them.

    Raises:
        SystemExit: the arguments requested only help or the version (0).
    """
    as_json = "--json" in (sys.argv if argv is None else argv)
    if problem := installation.problem():
        return _refuse(problem, as_json=as_json)
    try:
        from gigq.cli.dispatch import main as run

        return run(argv)
    except ImportError as error:
        if problem := installation.problem_of(error):
            return _refuse(problem, as_json=as_json)
        raise


def _refuse(problem: str, *, as_json: bool) -> int:
    if as_json:
        answer = {"ok": False, "code": exit_codes.BAD_INSTALLATION, "error": problem}
        sys.stdout.write(f"{json.dumps(answer)}\n")
    else:
        sys.stderr.write(f"gigq: {problem}\n")
    return exit_codes.BAD_INSTALLATION
