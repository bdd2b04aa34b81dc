"""How an idle worker sleeps, and what wakes it: a ring, a stop, a signal, a due time."""

from __future__ import annotations

import math
import select
from contextlib import suppress

from gigq.model import clock


class StopNotice:
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
        poll = select.poll()  # unlike select(), it takes any descriptor
        poll.register(self._heard, select.POLLIN)
        poll.poll(math.ceil(seconds * 1000))

    def close(self) -> None:
        """Nobody waits any more."""
        self._rung.close()
        self._heard.close()


def seconds_until(time: str | None, longest: float) -> float:
    """Seconds until a stored time, at least 0; `longest` when it is later or there is none."""
    if time is None:
        return longest
    left = clock.parse(time) - clock.parse(clock.utc_now())
    return min(max(left.total_seconds(), 0.0), longest)
