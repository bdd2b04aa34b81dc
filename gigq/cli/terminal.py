"""What standard output is: how wide, whether it takes colour, and how an answer reaches it."""

from __future__ import annotations

import io
import os
import shutil
import sys
from contextlib import suppress

from gigq.strict_json import strict_json


def width() -> int | None:
    """The terminal's width in cells; None when the output goes to a file or a pipe."""
    return shutil.get_terminal_size().columns if sys.stdout.isatty() else None


def takes_colour() -> bool:
    """Whether colour is welcome: on a terminal, unless NO_COLOR is set (no-color.org)."""
    return (
        sys.stdout.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"
    )


def print_json(value: object) -> None:
    """`value` on one line. ASCII only, so no control character can reach a terminal."""
    print(strict_json(value))


def prepare() -> None:
    """Let a character that the terminal's encoding lacks be shown as an escape, not raise.

    A stream that was closed at the start is replaced by one that takes everything.
    """
    for name in ("stdin", "stdout", "stderr"):
        # In the order of their descriptors: each opening takes the lowest that is free.
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, "r+", encoding="utf-8"))  # noqa: SIM115, PTH123
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")


def give_up_output() -> None:
    """Point standard output at nothing: it takes no more, and the flush at the exit would raise."""
    # A test's or an embedding program's stand-in has no file descriptor; it needs no care either.
    with suppress(OSError, ValueError):
        nothing = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nothing, sys.stdout.fileno())
        os.close(nothing)
