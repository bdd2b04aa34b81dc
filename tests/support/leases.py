"""The threads that renew leases of plain workers in the process of the tests."""

from __future__ import annotations

import threading

from gigq.execution import plain_lease
from gigq.execution.plain_lease import PlainLease


def end_threads() -> None:
    """End them now: they would go on for the length of a lease, with connections of their own."""
    for lease in plain_lease._leases.values():
        if isinstance(lease, PlainLease):
            lease._ended.set()
    for thread in threading.enumerate():
        if thread.name.startswith("gigq-lease"):
            thread.join(30)
