"""The wakeup timer: wakes the supervisor shortly after a worker has started a job."""

from __future__ import annotations

import os
import select
from contextlib import suppress

from gigqd.linux import syscalls

_MOMENT = 0.005
_COUNT_BYTES = 8


class WakeupTimer:
    """A timer that the supervisor and all its children share.

    The supervisor sleeps while no worker runs a job. If it woke when a job starts, it would
    compete with the job for a processor; most jobs end before the supervisor is needed.
    """

    def __init__(self) -> None:
        self._descriptor = syscalls.timer()
        self._poll = select.poll()
        self._poll.register(self._descriptor, select.POLLIN)

    def fileno(self) -> int:
        """Return the descriptor that becomes readable when the timer expires."""
        return self._descriptor

    def start(self) -> bool:
        """Let it expire in 5 ms, or earlier when another process has started it.

        Returns:
            False when a job has closed its descriptor.
        """
        # Starting an expired timer would clear an expiry that the supervisor has not read yet.
        expired = any(event & select.POLLIN for _, event in self._poll.poll(0))
        return expired or syscalls.start_timer(self._descriptor, _MOMENT)

    def clear(self) -> None:
        """Clear the expiry, until the timer is started again."""
        with suppress(BlockingIOError):
            os.read(self._descriptor, _COUNT_BYTES)
