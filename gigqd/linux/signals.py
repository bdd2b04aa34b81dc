"""The signals that the daemon handles; blocking them, and restoring their default handlers."""

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


def only_wake(_number: int, _frame: FrameType | None) -> None:
    """Do nothing: Python has already written to the wake-up pipe."""
