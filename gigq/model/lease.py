"""A lease: until when a process may run jobs, as its holder sees it."""

from __future__ import annotations

import time
from typing import NamedTuple


class Lease(NamedTuple):
    """A lease of this host's own process.

    Attributes:
        number: grows when a lease begins that is no renewal of the one before; 0 without a lease.
        ends: its end, in seconds of the boot clock.
    """

    number: int = 0
    ends: float = 0.0

    @property
    def left(self) -> float:
        """The seconds until its end."""
        return self.ends - boot_time()


def boot_time() -> float:
    """Return the seconds since the boot, also those in which the host was suspended.

    No setting of the calendar clock changes this clock, and a stopped process does not stop it.
    """
    return time.clock_gettime(time.CLOCK_BOOTTIME)
