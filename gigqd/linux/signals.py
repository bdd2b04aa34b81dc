"""Signals: which ones the daemon handles, and how a process blocks them or forgets the handlers."""

from __future__ import annotations

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


def only_wake(_number: int, _frame: FrameType | None) -> None:
    """Do nothing: the wake-up pipe has already been written to."""
