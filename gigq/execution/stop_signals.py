"""Stop of a plain worker by INT and TERM: first wait for the job, then interrupt it, then exit."""

from __future__ import annotations

import os
import signal
import threading
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any

from gigq.descriptors import wait_readable

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    Handlers = dict[signal.Signals, Any]

_STOPPING = (
    "Stopping: a running job may finish. A second signal interrupts it, a third ends this process."
)
_INTERRUPTING = (
    "Second signal: a job in the main thread is interrupted. One more ends this process at once."
)
_NOTHING_INTERRUPTED = (
    "No job was interrupted: no job runs in the main thread, or the job was interrupted before."
)


@contextmanager
def stop_signals(
    stop: Callable[[], None], interrupt: Callable[[], None], notice: Callable[[str], None]
) -> Iterator[None]:
    """Handle INT and TERM in the main thread; the earlier handlers are restored at the end.

    Args:
        stop: called for the first signal.
        interrupt: called for the second; it may raise an exception in the main thread. The third
            ends the process, even when Python code cannot run: it has no handler.
        notice: called with a line for the operator.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before: Handlers = {}
    owner, is_stopping = os.getpid(), False

    def handler(number: int, _frame: Any) -> None:
        nonlocal is_stopping
        if os.getpid() != owner:
            # A process that a job has forked handles the signal as it would without gigq.
            _restore(before)
            os.kill(os.getpid(), number)
        elif is_stopping:
            for each in before:
                signal.signal(each, signal.SIG_DFL)
            notice(_INTERRUPTING)
            interrupt()
            notice(_NOTHING_INTERRUPTED)
        else:
            is_stopping = True
            notice(_STOPPING)
            stop()

    for number in (signal.SIGINT, signal.SIGTERM):
        before[number] = signal.signal(number, handler)
    try:
        yield
    finally:
        _restore(before)


class StopNotice:
    """A wakeup of all threads of one worker, from any thread or signal handler; it stays set."""

    def __init__(self) -> None:
        # Late: only a worker that starts needs it, and it is slow to import.
        import socket

        # Sockets and not bare descriptors: writing to one that was closed in another thread
        # fails, while the number of a closed descriptor may already be that of another file.
        self._receiver, self._sender = socket.socketpair()
        self._sender.setblocking(False)

    def fileno(self) -> int:
        """Return the descriptor that is readable after `set`, for ever."""
        return self._receiver.fileno()

    def set(self) -> None:
        """Wake the threads."""
        with suppress(OSError):  # closed, or set so often that it is full
            self._sender.send(b"\0")

    def wait(self, seconds: float) -> None:
        """Sleep for so many seconds, or until `set` was called."""
        wait_readable([self._receiver], seconds)

    def close(self) -> None:
        """Close both ends, when no thread waits any more."""
        self._sender.close()
        self._receiver.close()


def _restore(before: Handlers) -> None:
    for number, handler in before.items():
        # None stands for a handler that Python did not install and cannot put back.
        signal.signal(number, signal.SIG_DFL if handler is None else handler)
