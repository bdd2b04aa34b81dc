"""The work: functions that every queue runs, the same for all."""

from __future__ import annotations

import os
import time

from bench import board

_words: memoryview | None = None
_count = 0


def noop() -> None:
    """Do nothing, and count that."""
    if _words is None:
        _begin()
    _words[_count] += 1  # type: ignore[index]


def sleep10() -> None:
    """Wait for 10 ms, and count that."""
    time.sleep(0.010)
    noop()


def stamp() -> None:
    """Say when the first line of the function ran."""
    now = time.monotonic_ns()
    if _words is None:
        _begin()
    _words[board.STAMP] = now  # type: ignore[index]
    noop()


def moment() -> None:
    """Add the time at which the first line of the function ran to a file."""
    now = time.monotonic_ns()
    descriptor = os.open(board.moments(), os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    os.write(descriptor, now.to_bytes(8, "little"))
    os.close(descriptor)
    noop()


FUNCTIONS = {"noop": noop, "sleep10": sleep10, "stamp": stamp, "moment": moment}


def _begin() -> None:
    global _words, _count
    _words, _count = board.taken()
    if not _words[board.FIRST]:
        _words[board.FIRST] = time.monotonic_ns()


def _forget() -> None:
    global _words  # noqa: PLW0603 - a forked process takes a cell of its own
    _words = None


os.register_at_fork(after_in_child=_forget)
