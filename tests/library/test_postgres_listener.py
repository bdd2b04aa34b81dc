"""The listener of an idle worker, and the notifier that wakes it."""

from __future__ import annotations

import math
import threading
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import psycopg
import pytest
from support.jobs_to_run import nothing

from gigq import Job, JobQueue
from gigq.descriptors import wait_readable
from gigq.store.postgres import connections, notifications
from gigq.store.postgres.notifications import DEBOUNCE, Listener, Notifier

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

_LOCKS = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND pid = pg_backend_pid()"


@pytest.fixture
def other(address: str) -> Iterator[psycopg.Connection[Any]]:
    """The connection of another process."""
    with psycopg.connect(address, autocommit=True) as connection:
        yield connection


def listening(address: str, *queues: str) -> Listener:
    """A listener that has reported what it may have missed."""
    listener = Listener(lambda: connections.open_connection(address), queues or None)
    assert listener.wait(0)
    assert listener.drain()
    return listener


def in_another_thread(call: Callable[[], object]) -> None:
    thread = threading.Thread(target=call)
    thread.start()
    thread.join()


def notify(other: psycopg.Connection[Any], address: str, payload: str) -> None:
    """Send a notification, which has arrived when this function returns."""
    connection = connections.held_connection(address)
    assert connection is not None
    other.execute("SELECT pg_notify('gigq_' || current_schema(), %s)", (payload,))
    assert wait_readable([connection.fileno()], 60)


def test_it_goes_on_with_the_next_connection(address: str) -> None:
    JobQueue(address).close()
    listener = listening(address)
    pid = connections.open_connection(address).info.backend_pid
    with psycopg.connect(address) as administrator:
        administrator.execute("SELECT pg_terminate_backend(%s, 10000)", (pid,))

    assert listener.wait(0)  # some may have been missed
    assert listener.drain()
    in_another_thread(lambda: JobQueue(address).submit(Job("job", nothing)))
    assert listener.wait(60)
    listener.close()


def test_it_looks_again_for_what_was_not_announced(
    address: str, other: psycopg.Connection[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    now = [100.0]
    monkeypatch.setattr(notifications, "time", SimpleNamespace(monotonic=lambda: now[0]))
    listener = listening(address)
    now[0] += DEBOUNCE

    # Another process may have notified about the same queue just before, and submitted since.
    assert not listener.wait(3600)
    listener.drain()
    notify(other, address, '["mail"]')
    assert listener.wait(3600)
    listener.close()


def test_after_a_job_it_looks_soon_and_then_less_often(
    address: str, other: psycopg.Connection[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    now = [0.0]

    def sleep(_descriptors: list[int], seconds: float) -> list[int]:
        now[0] += seconds
        return []

    def look(longest: float) -> float:
        listener.wait(longest)
        listener.drain()
        return round(now[0], 3)

    monkeypatch.setattr(notifications, "time", SimpleNamespace(monotonic=lambda: now[0]))
    monkeypatch.setattr(notifications, "wait_readable", sleep)
    listener = listening(address)
    looks = [look(1.0) for _ in range(7)]
    notify(other, address, '["mail"]')
    after = [look(1.0) for _ in range(3)]

    assert looks == [0.005, 0.01, 0.02, 0.04, 0.08, 0.1, 1.1]
    assert after == [1.1, 1.2, 2.2]  # it wakes all workers
    listener.close()


def test_it_takes_a_notification_that_comes_with_the_answer_to_a_statement(
    address: str, other: psycopg.Connection[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(notifications, "DEBOUNCE", math.inf)
    listener = listening(address)
    notify(other, address, '["mail"]')
    connections.open_connection(address).execute("SELECT 1")
    assert listener.wait(3600)

    listener.drain()
    notify(other, address, '["mail"]')
    connections.open_connection(address)  # which reads what has come, to see whether it is open
    assert listener.wait(3600)
    listener.close()


@pytest.mark.parametrize(("payload", "is_for_it"), [('["*"]', True), ('["reports"]', False)])
def test_it_is_woken_for_its_own_queues(
    address: str, other: psycopg.Connection[Any], payload: str, is_for_it: bool
) -> None:
    listener = listening(address, "mail")
    notify(other, address, payload)

    assert listener.wait(0.05) is is_for_it
    notify(other, address, '["reports", "mail"]')
    assert listener.wait(60)
    listener.close()


def test_a_notifier_keeps_no_locks_but_its_last(address: str) -> None:
    connection, notifier = connections.open_connection(address), Notifier()
    for number in range(5):
        notifier.notify(lambda: connection, [f"queue-{number}"])

    assert connection.execute(_LOCKS).fetchone() == (1,)
