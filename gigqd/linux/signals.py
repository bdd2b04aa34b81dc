"""The signals that the daemon handles: their names, blocking, and handlers."""

from __future__ import annotations

import signal
from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from types import FrameType

# The module `signal` converts every argument and result to an enumeration, which costs each child
# some hundred kilobytes of private memory.
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
    """Restore the default handlers in a forked child.

    A wake-up descriptor left in place would report the child's signals to the parent.
    """
    _signal.set_wakeup_fd(-1)
    for number in HANDLED:
        _signal.signal(number, _signal.SIG_DFL)


def block_all() -> set[int]:
    """Block every signal; return the old mask for `restore`."""
    mask: set[int] = _signal.pthread_sigmask(signal.SIG_BLOCK, _signal.valid_signals())
    return mask


def restore(mask: set[int]) -> None:
    """Set the signal mask that `block_all` returned."""
    _signal.pthread_sigmask(signal.SIG_SETMASK, mask)


def name_of(number: int) -> str:
    """Return the name of a signal; "signal 35" for one of the real-time signals without a name."""
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"


def ignore(_number: int, _frame: FrameType | None) -> None:
    """Ignore a signal, except for Python's wake-up pipe; programs would inherit SIG_IGN."""
