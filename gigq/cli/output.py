"""Standard output of the command: its width, its colours, JSON, and what to do when it breaks."""

from __future__ import annotations

import io
import os
import sys
from contextlib import suppress

from gigq.model.strict_json import strict_json
from gigq.terminal import allows_colour, columns


def width() -> int | None:
    """Return the terminal's width in cells; None when the output goes to a file or a pipe."""
    return (columns(sys.stdout.fileno()) or 80) if sys.stdout.isatty() else None


def takes_colour() -> bool:
    """Return True for a terminal that may show colours."""
    return sys.stdout.isatty() and allows_colour()


def print_json(value: object) -> None:
    """Print `value` on one line of ASCII, so that no control character reaches a terminal."""
    print(strict_json(value))


def prepare() -> None:
    """Prepare the standard streams.

    A character that the terminal's encoding lacks is shown as an escape. A stream that was closed
    at the start is replaced by one to `/dev/null`.
    """
    for name in ("stdin", "stdout", "stderr"):
        # In the order of their descriptors: `open` takes the lowest free one.
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, "r+", encoding="utf-8"))  # noqa: SIM115, PTH123
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")


def give_up() -> None:
    """Redirect standard output to `/dev/null`: it is broken, and the flush at exit would raise."""
    # A stand-in of a test or an embedding program has no descriptor and needs no redirection.
    with suppress(OSError, ValueError):
        nothing = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nothing, sys.stdout.fileno())
        os.close(nothing)
