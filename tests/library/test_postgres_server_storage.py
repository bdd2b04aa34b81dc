"""What a daemon's recorder sees of a PostgreSQL database, and when it looks."""

from __future__ import annotations

import socket
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import psycopg
import pytest
from support.ledger import stored, taken
from support.waiting import wait_until

from gigq.errors import NoQueue
from gigq.model import clock
from gigqd.ipc.json_socket import JsonSocket
from gigqd.recorder import server_storage
from gigqd.recorder.server_storage import ServerStorage

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


class Passing:
    """A clock on which each look at it takes a hundredth of a second."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        self.now += 0.01
        return self.now


@pytest.fixture
def address(empty: str) -> str:
    """The address of an empty schema."""
    return empty


@pytest.fixture
def ends() -> Iterator[tuple[socket.socket, socket.socket]]:
    """Both ends of the connection to the supervisor."""
    one, other = socket.socketpair()
    with one, other:
        yield one, other


@pytest.fixture
def storage(
    address: str, tmp_path: Path, ends: tuple[socket.socket, socket.socket]
) -> Iterator[ServerStorage]:
    """A storage that is prepared and has reported what it may have missed."""
    found = ServerStorage(address, str(tmp_path / "place"), JsonSocket(ends[0]), is_there=False)
    found.prepare(again=False)

    def is_listening() -> bool:
        found._pass_on()
        return found._look_again_at > 0.0

    wait_until(is_listening, why=found._watch.problem or "")
    found.has_changed()
    assert not found.has_changed()
    yield found
    found.close(works=True)


@pytest.fixture
def passing(storage: ServerStorage, monkeypatch: pytest.MonkeyPatch) -> Passing:
    found = Passing()
    storage._looked_at = storage._look_again_at = found.now
    monkeypatch.setattr(server_storage, "time", SimpleNamespace(monotonic=found))
    return found


@pytest.fixture
def other(address: str) -> Iterator[psycopg.Connection[Any]]:
    """The connection of another process."""
    with psycopg.connect(address, autocommit=True) as connection:
        yield connection


def notify(other: psycopg.Connection[Any]) -> None:
    other.execute("SELECT pg_notify('gigq_' || current_schema(), %s)", ('["mail"]',))


def test_a_notification_ends_the_sleep_and_is_a_change(
    storage: ServerStorage, other: psycopg.Connection[Any], passing: Passing
) -> None:
    storage._looked_at -= 1.0  # the last look is long ago
    notify(other)
    wait_until(lambda: storage._ready(0.0))
    began = passing.now
    assert not storage.sleep(3600)
    assert passing.now < began + 0.5
    assert storage.has_changed()

    began = passing.now  # others may have been left out in the same tenth of a second
    storage.sleep(3600)
    assert passing.now < began + 0.5
    assert not storage.has_changed()


def test_a_notification_that_came_during_a_look_ends_the_sleep_after_it(
    storage: ServerStorage, other: psycopg.Connection[Any], passing: Passing
) -> None:
    """The check of the connection takes it in, so that the descriptor is not readable any more."""
    notify(other)

    def is_taken_in() -> bool:
        storage.maintain(wanted=False, changed=False)
        return bool(storage._watch._queues)

    wait_until(is_taken_in)
    began = passing.now
    assert not storage.sleep(3600)
    assert passing.now < began + 0.5
    assert storage.has_changed()


def test_a_stream_of_notifications_does_not_keep_it_from_looking(
    storage: ServerStorage, passing: Passing, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(storage, "_ready", lambda _seconds: [storage._watch.fileno()])
    monkeypatch.setattr(storage._watch, "take", lambda: frozenset({"mail"}))
    assert not storage.sleep(3600)


def test_a_look_that_became_due_during_another_one_follows_at_once(
    storage: ServerStorage, passing: Passing
) -> None:
    storage._looked_at = passing.now - 0.2
    storage._look_again_at = passing.now - 0.1  # while the last look went on
    began = passing.now
    assert not storage.sleep(3600)
    assert passing.now < began + 0.5


def test_the_answer_to_a_check_of_the_connection_is_no_change(storage: ServerStorage) -> None:
    storage._watch._check_at = 0.0
    storage.maintain(wanted=False, changed=False)
    assert storage._watch._is_asking
    wait_until(lambda: storage.sleep(0.05) or not storage._watch._is_asking)

    assert not storage.has_changed()


def test_a_lost_connection_for_notifications_is_opened_again(
    storage: ServerStorage, other: psycopg.Connection[Any]
) -> None:
    pid = storage._watch._connection.info.backend_pid
    other.execute("SELECT pg_terminate_backend(%s, 10000)", (pid,))

    def is_open_again() -> bool:
        storage.sleep(0.05)
        storage.maintain(wanted=False, changed=False)
        connection = storage._watch._connection
        return connection is not None and connection.info.backend_pid != pid

    wait_until(is_open_again)


def test_a_due_job_is_a_change_at_each_look(storage: ServerStorage) -> None:
    stored(storage.database)
    assert storage.has_changed()
    assert storage.has_changed()
    taken(storage.database)
    assert storage.has_changed()
    assert not storage.has_changed()


def test_open_executions_are_known_from_the_last_look(storage: ServerStorage) -> None:
    assert not storage.may_have_open_executions()
    stored(storage.database)
    taken(storage.database)
    storage.has_changed()
    assert storage.may_have_open_executions()
    storage.begin()
    assert storage.may_have_open_executions()


def test_what_no_look_sees_is_looked_for_once_a_minute(
    storage: ServerStorage, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = [1000.0]
    monkeypatch.setattr(server_storage, "time", SimpleNamespace(monotonic=lambda: now[0]))
    seen = []
    for _ in range(5):
        seen.append(storage.is_look_due())
        now[0] += 30
    assert seen == [True, False, True, False, True]


def test_the_time_goes_on_between_two_looks(
    storage: ServerStorage, monkeypatch: pytest.MonkeyPatch
) -> None:
    at = storage._looked_at
    monkeypatch.setattr(server_storage, "time", SimpleNamespace(monotonic=lambda: at + 5.0))
    assert storage.now() == clock.after(storage._time, 5.0)


def test_a_message_of_the_supervisor_ends_the_sleep(
    storage: ServerStorage, ends: tuple[socket.socket, socket.socket]
) -> None:
    JsonSocket(ends[1]).send({"leave": True})
    assert storage.wait(60)
    assert storage.sleep(0.5)


def test_another_connection_must_be_prepared(
    storage: ServerStorage, other: psycopg.Connection[Any]
) -> None:
    assert storage.connect()
    pid = storage.backend.connection().info.backend_pid
    other.execute("SELECT pg_terminate_backend(%s, 10000)", (pid,))
    assert not storage.connect()


def test_only_the_first_recorder_of_a_daemon_creates_tables(
    address: str, tmp_path: Path, ends: tuple[socket.socket, socket.socket]
) -> None:
    later = ServerStorage(address, str(tmp_path / "place"), JsonSocket(ends[0]), is_there=True)
    with pytest.raises(NoQueue):
        later.prepare(again=True)
    later.close(works=False)
