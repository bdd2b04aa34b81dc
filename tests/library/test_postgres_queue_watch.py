"""The watch with which one process follows the notifications for all queues."""

from __future__ import annotations

from types import SimpleNamespace
from typing import TYPE_CHECKING
from urllib.parse import parse_qs, urlsplit

import psycopg
import pytest
from support import postgres
from support.jobs_to_run import nothing
from support.postgres_relay import Relay, relaying_to
from support.waiting import wait_until

from gigq import Job, JobQueue
from gigq.descriptors import wait_readable
from gigq.errors import StoreUnavailable
from gigq.store.backend import backend_of
from gigq.store.postgres import notifications
from gigq.store.postgres.connections import new_connection
from gigq.store.postgres.notifications import QueueWatch

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture
def queue(address: str) -> Iterator[JobQueue]:
    with JobQueue(address) as found:
        yield found


@pytest.fixture
def relay(address: str) -> Iterator[Relay]:
    with relaying_to(address) as found:
        yield found


@pytest.fixture
def watch(address: str) -> Iterator[QueueWatch]:
    found = backend_of(address).queue_watch()
    yield listening(found)
    found.close()


def listening(watch: QueueWatch) -> QueueWatch:
    """The watch when it listens and has reported what it may have missed."""
    watch.renew()
    wait_until(lambda: watch.take() is None, why=watch.problem or "")
    assert watch.problem is None
    return watch


def notified(watch: QueueWatch, *queues: str) -> None:
    """Wait until it has reported these queues, and no others."""
    found: set[str] = set()
    while found < set(queues):
        assert wait_readable([watch], 10), f"it has reported only {found}"
        found |= watch.take() or set()
    assert found == set(queues)


def submit(queue: JobQueue, name: str) -> None:
    queue.submit(Job("job", nothing, {}, queue=name))


def end_session_of(watch: QueueWatch, address: str) -> None:
    pid = watch._connection.info.backend_pid
    with psycopg.connect(address) as connection:
        connection.execute("SELECT pg_terminate_backend(%s, 10000)", (pid,))


def test_it_reports_the_queues_of_other_processes(queue: JobQueue, watch: QueueWatch) -> None:
    submit(queue, "mail")
    notified(watch, "mail")

    submit(queue, "a 'quoted\" \u00e9 name")
    submit(queue, "reports")
    notified(watch, "a 'quoted\" \u00e9 name", "reports")


def test_names_that_are_too_long_for_a_notification_count_as_any_queue(
    queue: JobQueue, watch: QueueWatch
) -> None:
    queue.submit_many(Job("job", nothing, {}, queue=f"{'é' * 250}{n}") for n in range(16))
    assert wait_readable([watch], 10)
    assert watch.take() is None


@pytest.mark.parametrize("payload", ["no JSON", "{}", "[1]"])
def test_a_notification_of_another_program_counts_as_any_queue(
    watch: QueueWatch, address: str, payload: str
) -> None:
    with psycopg.connect(address, autocommit=True) as other:
        other.execute("SELECT pg_notify('gigq_' || current_schema(), %s)", (payload,))
    assert wait_readable([watch], 10)
    assert watch.take() is None


def test_it_listens_again_after_a_loss_and_reports_any_queue(
    queue: JobQueue, watch: QueueWatch, address: str
) -> None:
    end_session_of(watch, address)
    wait_until(lambda: watch.take() == frozenset() and watch.fileno() == -1)
    assert "the connection was lost" in (watch.problem or "")

    submit(queue, "mail")
    listening(watch)
    submit(queue, "reports")
    notified(watch, "reports")


def test_it_notices_that_the_server_has_forgotten_that_it_listens(
    queue: JobQueue, address: str
) -> None:
    watch = listening(QueueWatch(lambda: new_connection(address), check_every=0.0))
    watch._connection.execute("UNLISTEN *")
    submit(queue, "mail")

    listening(watch)
    submit(queue, "reports")
    notified(watch, "reports")
    watch.close()


def through(relay: Relay, address: str) -> str:
    server = parse_qs(urlsplit(address).query)["host"][0]
    return address.replace(f"host={server}", f"host={relay.folder}")


def test_a_server_that_does_not_answer_is_a_lost_one(relay: Relay, address: str) -> None:
    now_and_then = QueueWatch(lambda: new_connection(through(relay, address)), check_every=0.05)
    watch = listening(now_and_then)
    relay.is_silent = True

    def is_lost() -> bool:
        watch.renew()
        return watch.problem is not None

    wait_until(is_lost)
    assert watch.problem == "the server has not answered for 0.05 s"
    watch.close()


def test_it_does_not_count_on_a_pooler(queue: JobQueue, relay: Relay, address: str) -> None:
    relay.hides_process = True
    watch = QueueWatch(lambda: new_connection(through(relay, address)))
    watch.renew()
    wait_until(lambda: watch.take() == frozenset() and "pooler" in (watch.problem or ""))

    submit(queue, "mail")
    assert not wait_readable([watch], 0.3)
    watch.close()


def test_a_server_that_cannot_be_reached_is_named(relay: Relay, address: str) -> None:
    watch = QueueWatch(lambda: new_connection(through(relay, address)))
    relay.close()
    watch.renew()
    assert watch.fileno() == -1
    assert "check that the server runs" in (watch.problem or "")
    assert watch.take() == frozenset()


def test_the_pauses_between_tries_to_connect_grow(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail() -> None:
        tries.append(now[0])
        raise StoreUnavailable("no server")

    now, tries = [0.0], list[float]()
    monkeypatch.setattr(notifications, "time", SimpleNamespace(monotonic=lambda: now[0]))
    watch = QueueWatch(fail)
    while now[0] < 40:
        watch.renew()
        now[0] += 0.5

    assert tries == [0, 2, 6, 14, 24, 34]
    assert watch.problem == "no server"


def test_it_names_the_reason_for_which_the_server_refuses_to_listen(address: str) -> None:
    without_schema = postgres.with_option(address.partition("&options=")[0], "schema=missing")
    watch = QueueWatch(lambda: new_connection(without_schema))
    watch.renew()
    wait_until(lambda: watch.take() == frozenset() and "null" in (watch.problem or ""))
    watch.close()
