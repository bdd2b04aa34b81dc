"""Pipe through which signals reach the supervisor's loop.

The interpreter writes each signal's number into the pipe; the loop reads it there. A signal
that comes twice before the loop wakes counts once.

A SIGHUP means a reload, but a stop when it comes because the terminal was closed. Its sender does
not distinguish these, since a shell passes the hangup on to its jobs; the terminal's state does.
"""

from __future__ import annotations

import os
import signal
from contextlib import suppress

from gigqd import logs
from gigqd.linux import syscalls
from gigqd.linux.signals import HANDLED, ignore

log = logs.get_logger(__name__)


class SignalPipe:
    """The pipe of the supervisor; `fileno()` is readable when a signal has come."""

    def __init__(self) -> None:
        self._reader, self._writer = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        self._terminal: int | None = None

    def install(self) -> None:
        """Route every handled signal into the pipe."""
        if signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:  # as nohup has it
            self._terminal = _controlling_terminal()
        signal.set_wakeup_fd(self._writer, warn_on_full_buffer=False)
        for number in HANDLED:
            signal.signal(number, ignore)

    def fileno(self) -> int:
        """Return the descriptor to wait on."""
        return self._reader

    def woke(self) -> None:
        """Do nothing: the loop takes the signals at the start of its next iteration."""

    def take(self) -> set[signal.Signals]:
        """Return the signals since the last call; SIGTERM for a terminal that was closed."""
        try:
            numbers = os.read(self._reader, 4096)
        except BlockingIOError:
            return set()
        came = {signal.Signals(number) for number in numbers}
        if signal.SIGHUP in came and self._has_lost_its_terminal():
            log.info("terminal_closed")
            return came - {signal.SIGHUP} | {signal.SIGTERM}
        return came

    def _has_lost_its_terminal(self) -> bool:
        # The kernel closes the terminal before it sends the signal.
        return self._terminal is not None and syscalls.is_hung_up(self._terminal)


def _controlling_terminal() -> int | None:
    """Open the terminal that this process is attached to; None when there is none."""
    with suppress(OSError):
        return os.open("/dev/tty", os.O_RDONLY | os.O_NOCTTY | os.O_NONBLOCK | os.O_CLOEXEC)
    return None
