"""Functions that compute the delay of a retry and misbehave."""

from __future__ import annotations

import os
import sys
import time
from contextlib import suppress

_AGES = 600


def at_once(attempt: int, error: BaseException) -> float:
    """Return no delay."""
    return 0


def hang(attempt: int, error: BaseException) -> float:
    """Never return."""
    time.sleep(_AGES)
    return attempt


def leave(attempt: int, error: BaseException) -> float:
    """End the process, as a script does."""
    sys.exit(attempt)


def press(attempt: int, error: BaseException) -> float:
    """Raise what Ctrl-C raises."""
    raise KeyboardInterrupt


def swallow(attempt: int, error: BaseException) -> float:
    """Never return, not even when it is interrupted."""
    while True:
        with suppress(BaseException):
            time.sleep(_AGES)


class UnreadableError(Exception):
    """An exception without a text."""

    def __str__(self) -> str:
        raise RuntimeError


def fail_without_text(attempt: int, error: BaseException) -> float:
    """Raise an exception whose text cannot be read."""
    raise UnreadableError


def fork(attempt: int, error: BaseException) -> float:
    """Return in two processes; in the worker once the child has ended."""
    child = os.fork()
    if child:
        os.waitpid(child, 0)
    return 60 if child else 0
