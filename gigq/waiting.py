"""How an idle worker sleeps, and what wakes it: a ring, a stop, a signal, a due time."""

from __future__ import annotations

import select
import signal
import threading
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any

from gigq import clock

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


class StopBell:
    """Wakes every thread of one worker, for good, from any thread or signal handler."""

    def __init__(self) -> None:
        # Late: only a worker that starts needs it, and it is slow to import.
        import socket

        # Sockets and not bare descriptors: writing to one that was closed in another thread
        # fails, while the number of a closed descriptor may already belong to somebody else.
        self._heard, self._rung = socket.socketpair()
        self._rung.setblocking(False)

    def fileno(self) -> int:
        """The descriptor that is readable once it was rung. Nobody reads it empty."""
        return self._heard.fileno()

    def ring(self) -> None:
        """Wake them."""
        with suppress(OSError):  # closed already, or rung so often that it is full
            self._rung.send(b"\0")

    def wait(self, seconds: float) -> None:
        """Sleep, unless or until it is rung."""
        select.select([self._heard], [], [], seconds)

    def close(self) -> None:
        """Nobody waits any more."""
        self._rung.close()
        self._heard.close()


@contextmanager
def stop_signals(stop: Callable[[], None]) -> Iterator[None]:
    """Have INT and TERM call `stop`, in the main thread; the old handlers come back at the end."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def handle(_signum: int, _frame: Any) -> None:
        stop()

    before = {number: signal.signal(number, handle) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            # None stands for a handler that Python did not install and cannot put back.
            signal.signal(number, signal.SIG_DFL if handler is None else handler)


def seconds_until(time: str | None, longest: float) -> float:
    """Seconds until a stored time, at least 0; `longest` when it is later or there is none."""
    if time is None:
        return longest
    left = clock.parse(time) - clock.parse(clock.utc_now())
    return min(max(left.total_seconds(), 0.0), longest)
