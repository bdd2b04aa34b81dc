"""Signals to the supervisor: handlers that do nothing, and a pipe that says what came.

The interpreter writes each signal's number into the pipe; the loop reads it there. A signal
seen twice before the loop wakes counts once.
"""

from __future__ import annotations

import os
import signal
from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from types import FrameType

# What `signal` itself offers makes enumerations of all it is given and answers, which costs each
# child some hundred kilobytes of its own.
_signal: Any = import_module("_signal")

HANDLED = (
    signal.SIGTERM,
    signal.SIGINT,
    signal.SIGQUIT,
    signal.SIGHUP,
    signal.SIGUSR1,
    signal.SIGUSR2,
    signal.SIGCHLD,
)


class SignalPipe:
    """The supervisor's ear for signals; `fileno()` is readable when one has come."""

    def __init__(self) -> None:
        self._reader, self._writer = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)

    def install(self) -> None:
        """Route every handled signal into the pipe."""
        signal.set_wakeup_fd(self._writer, warn_on_full_buffer=False)
        for number in HANDLED:
            signal.signal(number, _only_wake)

    def fileno(self) -> int:
        """The descriptor to wait on."""
        return self._reader

    def take(self) -> set[signal.Signals]:
        """The signals that came since the last look."""
        try:
            numbers = os.read(self._reader, 4096)
        except BlockingIOError:
            return set()
        return {signal.Signals(number) for number in numbers}


def forget_in_child() -> None:
    """Undo all of it in a forked child: its signals are its own.

    A wake-up descriptor left in place would tell the parent of the child's signals.
    """
    _signal.set_wakeup_fd(-1)
    for number in HANDLED:
        _signal.signal(number, _signal.SIG_DFL)


def block_all() -> set[int]:
    """Hold back every signal; returns the mask to give to `restore`."""
    mask: set[int] = _signal.pthread_sigmask(signal.SIG_BLOCK, _signal.valid_signals())
    return mask


def restore(mask: set[int]) -> None:
    """Let the signals through again."""
    _signal.pthread_sigmask(signal.SIG_SETMASK, mask)


def _only_wake(_number: int, _frame: FrameType | None) -> None:
    """Do nothing: the wake-up pipe has already been written to."""
