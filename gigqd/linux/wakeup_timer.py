"""The alarm: wakes the supervisor a moment after a worker has begun to work."""

from __future__ import annotations

import os
import select
from contextlib import suppress

from gigqd.linux import syscalls

_MOMENT = 0.005
_COUNT_BYTES = 8


class WakeupTimer:
    """A timer that the supervisor and all its children share.

    The supervisor sleeps while nobody works. To wake it as a job begins would have it compete
    with that job's first lines for a processor; most jobs are over before it is needed.
    """

    def __init__(self) -> None:
        self._descriptor = syscalls.timer()
        self._poll = select.poll()
        self._poll.register(self._descriptor, select.POLLIN)

    def fileno(self) -> int:
        """The descriptor that becomes readable when the moment is over."""
        return self._descriptor

    def start(self) -> bool:
        """Have it go off in a moment, or earlier if somebody has started it before.

        Returns:
            False when it cannot: a job has closed it.
        """
        # To start it again would silence it, if it has gone off and nobody has heard it yet.
        rings = any(event & select.POLLIN for _, event in self._poll.poll(0))
        return rings or syscalls.start_timer(self._descriptor, _MOMENT)

    def heard(self) -> None:
        """Be silent until it is started again."""
        with suppress(BlockingIOError):
            os.read(self._descriptor, _COUNT_BYTES)
