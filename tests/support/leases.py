"""Leases in tests: a boot clock that a test sets, and the threads that renew leases."""

from __future__ import annotations

import threading
from contextlib import closing

import pytest
from support.raw_sql import Program

from gigq.execution import plain_lease
from gigq.execution.plain_lease import PlainLease
from gigq.model import lease


class BootClock:
    """The boot clock of the process under test, which a test sets."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def boot_clock(monkeypatch: pytest.MonkeyPatch) -> BootClock:
    """The boot clock during a test."""
    found = BootClock()
    for module in ("gigq.store.postgres.ended_leases", "gigq.store.lease_renewal"):
        monkeypatch.setattr(f"{module}.boot_time", found)
    monkeypatch.setattr(lease, "boot_time", found)
    return found


def end_on_server(address: str, ends_at: str = "2026-01-01") -> None:
    """Let the leases be over by the server's clock."""
    with closing(Program(address)) as program:
        program.execute("UPDATE gigq_processes SET lease_ends_at = ?", (ends_at,))


def end_threads() -> None:
    """End the threads that renew leases of plain workers in the process of the tests.

    They would go on for the length of a lease, with connections of their own.
    """
    for held in plain_lease._leases.values():
        if isinstance(held, PlainLease):
            held._ended.set()
    for thread in threading.enumerate():
        if thread.name.startswith("gigq-lease"):
            thread.join(30)
