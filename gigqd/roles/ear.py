"""A worker's ear for signals, which the processes that its jobs fork do not share."""

from __future__ import annotations

import faulthandler
import os
import signal
from contextlib import suppress
from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import FrameType

    Handler = Callable[[int, FrameType | None], None]

_MANY = 4096

# What `signal` itself offers makes enumerations of what it is given, at a price in memory.
_signal: Any = import_module("_signal")


class Ear:
    """Has TERM mean leave, USR1 and a crash dump all stacks, and INT and HUP mean nothing.

    A process that a job forks without executing anything gets the default handlers back, unless
    the job has set its own: or it could not be ended by TERM, as `multiprocessing` ends its own.

    Args:
        leave: the handler for TERM.
        stacks: the descriptor that stacks are written to.
    """

    def __init__(self, leave: Handler, stacks: int) -> None:
        self._stacks = stacks
        self._reader, self._writer = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        self._handlers = {signal.SIGTERM: leave, signal.SIGINT: _ignore, signal.SIGHUP: _ignore}
        signal.set_wakeup_fd(self._writer, warn_on_full_buffer=False)
        for number, handler in self._handlers.items():
            _signal.signal(number, handler)
        self._dump_stacks()
        os.register_at_fork(after_in_child=self._give_up)

    def fileno(self) -> int:
        """The descriptor that becomes readable when a signal has come."""
        return self._reader

    def listen_again(self) -> bool:
        """Have signals wake this process; False when something else had taken that over."""
        return signal.set_wakeup_fd(self._writer, warn_on_full_buffer=False) == self._writer

    def listens(self) -> tuple[bool, ...]:
        """Return whether signals wake this process, as from now on, and a crash dumps stacks."""
        try:
            return self.listen_again(), faulthandler.is_enabled()
        except OSError:  # the job has closed what is not its own
            return False, False

    def restore_dumps(self) -> None:
        """Have USR1 and a crash dump all stacks again, whatever a job has made of them."""
        faulthandler.unregister(signal.SIGUSR1)
        self._dump_stacks()

    def _dump_stacks(self) -> None:
        faulthandler.enable(file=self._stacks, all_threads=True)
        faulthandler.register(signal.SIGUSR1, file=self._stacks, all_threads=True)
        # It asks for restarted calls. Then a call that waits would go on waiting, although the
        # signal after it is to interrupt the job: the first one to arrive decides.
        signal.siginterrupt(signal.SIGUSR1, True)

    def drain(self) -> None:
        """Forget the signals that came: their handlers have run."""
        with suppress(BlockingIOError):
            os.read(self._reader, _MANY)

    def _give_up(self) -> None:
        """Undo what is still ours, in a process forked by a job."""
        taken = signal.set_wakeup_fd(-1)
        if taken not in (-1, self._writer):
            signal.set_wakeup_fd(taken)
        faulthandler.unregister(signal.SIGUSR1)
        for number, handler in self._handlers.items():
            if signal.getsignal(number) == handler:
                default = signal.default_int_handler if number == signal.SIGINT else signal.SIG_DFL
                signal.signal(number, default)


def _ignore(_number: int, _frame: object) -> None:
    """A handler instead of SIG_IGN, which would be inherited by whatever a job executes."""
