"""Signals to the supervisor: handlers that do nothing, and a pipe that says what came.

The interpreter writes each signal's number into the pipe; the loop reads it there. A signal
seen twice before the loop wakes counts once.

A SIGHUP means a reload, but a stop when it comes because the terminal was closed. Its sender does
not tell these apart, since a shell passes the hangup on to its jobs; the terminal's state does.
"""

from __future__ import annotations

import os
import select
import signal
from contextlib import suppress
from importlib import import_module
from typing import TYPE_CHECKING, Any

from gigqd import logs

if TYPE_CHECKING:
    from types import FrameType

# What `signal` itself offers makes enumerations of all it is given and answers, which costs each
# child some hundred kilobytes of its own.
_signal: Any = import_module("_signal")

log = logs.get_logger("gigqd.signals")

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
        self._terminal: int | None = None

    def install(self) -> None:
        """Route every handled signal into the pipe."""
        if signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:  # as nohup has it
            self._terminal = _controlling_terminal()
        signal.set_wakeup_fd(self._writer, warn_on_full_buffer=False)
        for number in HANDLED:
            signal.signal(number, _only_wake)

    def fileno(self) -> int:
        """The descriptor to wait on."""
        return self._reader

    def woke(self) -> None:
        """Do nothing: the loop, once awake, takes what came at the top of its next turn."""

    def take(self) -> set[signal.Signals]:
        """The signals that came since the last look; SIGTERM for a terminal that was closed."""
        try:
            numbers = os.read(self._reader, 4096)
        except BlockingIOError:
            return set()
        came = {signal.Signals(number) for number in numbers}
        if signal.SIGHUP in came and self._terminal is not None and _is_hung_up(self._terminal):
            log.info("terminal_closed")
            return came - {signal.SIGHUP} | {signal.SIGTERM}
        return came


def _controlling_terminal() -> int | None:
    """Open the terminal that this process is attached to; None when there is none."""
    with suppress(OSError):
        return os.open("/dev/tty", os.O_RDONLY | os.O_NOCTTY | os.O_NONBLOCK | os.O_CLOEXEC)
    return None


def _is_hung_up(terminal: int) -> bool:
    """Return True once a terminal is closed: the kernel says so before it sends the signal."""
    poll = select.poll()
    poll.register(terminal, 0)
    return any(event & select.POLLHUP for _, event in poll.poll(0))


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
