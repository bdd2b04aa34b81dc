"""Waiting for descriptors to become readable."""

from __future__ import annotations

import math
import select
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Protocol

    class _HasDescriptor(Protocol):
        def fileno(self) -> int: ...


def wait_readable(descriptors: Iterable[int | _HasDescriptor], seconds: float) -> list[int]:
    """Wait until a descriptor is readable, and return those that are; empty after the time."""
    poll = select.poll()  # unlike select(), it takes any descriptor
    for each in descriptors:
        poll.register(each, select.POLLIN)
    return [number for number, _ in poll.poll(math.ceil(max(0.0, seconds) * 1000))]
