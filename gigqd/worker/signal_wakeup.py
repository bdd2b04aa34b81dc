"""Signal handling of a worker, which processes that its jobs fork do not inherit."""

from __future__ import annotations

import faulthandler
import os
import signal
from contextlib import suppress
from importlib import import_module
from typing import TYPE_CHECKING, Any

from gigqd.linux.signals import ignore

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import FrameType

    Handler = Callable[[int, FrameType | None], None]

_MANY = 4096

# The functions of `signal` itself convert to enumerations, which costs memory.
_signal: Any = import_module("_signal")


class SignalWakeup:
    """The signal handlers of a worker, and its wakeup by signals.

    SIGTERM makes the worker exit, SIGUSR1 and a crash dump all stacks, SIGINT and SIGHUP do
    nothing. A process that a job forks gets the default handlers back, unless the job has set its
    own: `multiprocessing`, for example, ends its processes by SIGTERM.

    Args:
        leave: the handler for SIGTERM.
        stacks: the descriptor to which stacks are written.
    """

    def __init__(self, leave: Handler, stacks: int) -> None:
        self._stacks = stacks
        self._reader, self._writer = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        self._handlers = {signal.SIGTERM: leave, signal.SIGINT: ignore, signal.SIGHUP: ignore}
        signal.set_wakeup_fd(self._writer, warn_on_full_buffer=False)
        for number, handler in self._handlers.items():
            _signal.signal(number, handler)
        self._dump_stacks()
        os.register_at_fork(after_in_child=self._remove_handlers)

    def fileno(self) -> int:
        """Return the descriptor that becomes readable when a signal has come."""
        return self._reader

    def listen_again(self) -> bool:
        """Make signals wake this process again; return False when a job had changed that."""
        return signal.set_wakeup_fd(self._writer, warn_on_full_buffer=False) == self._writer

    def listens(self) -> tuple[bool, ...]:
        """Return True for each: signals woke this process, and a crash dumps stacks."""
        try:
            return self.listen_again(), faulthandler.is_enabled()
        except OSError:  # the job has closed a descriptor of the worker
            return False, False

    def restore_dumps(self) -> None:
        """Make SIGUSR1 and a crash dump all stacks again, after a job's changes."""
        faulthandler.unregister(signal.SIGUSR1)
        self._dump_stacks()

    def _dump_stacks(self) -> None:
        faulthandler.enable(file=self._stacks, all_threads=True)
        faulthandler.register(signal.SIGUSR1, file=self._stacks, all_threads=True)
        # faulthandler sets SA_RESTART, which would restart a call of the job that waits, although
        # SIGUSR2 comes next to interrupt it: the first signal decides.
        signal.siginterrupt(signal.SIGUSR1, True)

    def drain(self) -> None:
        """Discard the wakeups of signals whose handlers have run."""
        with suppress(BlockingIOError):
            os.read(self._reader, _MANY)

    def _remove_handlers(self) -> None:
        """Remove the worker's handlers in a process that a job forked."""
        taken = signal.set_wakeup_fd(-1)
        if taken not in (-1, self._writer):
            signal.set_wakeup_fd(taken)
        faulthandler.unregister(signal.SIGUSR1)
        for number, handler in self._handlers.items():
            if signal.getsignal(number) == handler:
                default = signal.default_int_handler if number == signal.SIGINT else signal.SIG_DFL
                signal.signal(number, default)
