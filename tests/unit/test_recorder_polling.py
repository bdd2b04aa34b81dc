"""When the recorder looks next: a commit, a message, or a second wakes it."""

from __future__ import annotations

import sqlite3
import threading
import time
from contextlib import closing
from typing import TYPE_CHECKING

import pytest

from gigq.store.sqlite.processes import file_watch
from gigqd.ipc import json_socket
from gigqd.ipc.json_socket import JsonSocket
from gigqd.recorder import polling
from gigqd.recorder.polling import Polling

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_FOR_EVER = 60.0


@pytest.fixture
def ends() -> Iterator[tuple[JsonSocket, JsonSocket]]:
    ours, theirs = json_socket.pair()
    other = JsonSocket(theirs)
    yield ours, other
    ours.close()
    other.close()


@pytest.fixture
def database(tmp_path: Path) -> Iterator[sqlite3.Connection]:
    with closing(sqlite3.connect(tmp_path / "q.db", isolation_level=None)) as connection:
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute("CREATE TABLE t (x)")
        yield connection


def _quiet(pace: Polling, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing was written for long, and only a write or a message ends a sleep."""
    monkeypatch.setattr(polling, "IDLE_INTERVAL", _FOR_EVER)
    monkeypatch.setattr(pace, "_lively_until", 0.0)


def test_a_commit_ends_the_sleep_of_a_quiet_recorder_and_makes_it_lively(
    tmp_path: Path,
    ends: tuple[JsonSocket, JsonSocket],
    database: sqlite3.Connection,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    pace = Polling(ends[0])
    pace.follow(str(tmp_path / "q.db"))
    _quiet(pace, monkeypatch)
    database.execute("INSERT INTO t VALUES (1)")

    assert not pace.sleep()
    assert pace._lively_until > time.monotonic()
    assert not pace.sleep()


def test_a_message_ends_the_sleep_of_a_quiet_recorder(
    tmp_path: Path,
    ends: tuple[JsonSocket, JsonSocket],
    database: sqlite3.Connection,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    pace = Polling(ends[0])
    pace.follow(str(tmp_path / "q.db"))
    _quiet(pace, monkeypatch)
    teller = threading.Timer(0.05, lambda: ends[1].send({"leave": True}))
    teller.start()

    assert database.in_transaction is False
    assert pace.sleep()
    teller.join()


def test_a_recorder_that_the_kernel_tells_nothing_looks_often(
    tmp_path: Path, ends: tuple[JsonSocket, JsonSocket], monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_paths: str) -> int:
        raise OSError("too many open files")

    monkeypatch.setattr(file_watch, "watch", refuse)
    pace = Polling(ends[0])
    pace.follow(str(tmp_path / "q.db"))
    _quiet(pace, monkeypatch)

    assert not pace.sleep()


def test_a_file_that_is_deleted_ends_the_sleep_of_a_quiet_recorder(
    tmp_path: Path,
    ends: tuple[JsonSocket, JsonSocket],
    database: sqlite3.Connection,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    pace = Polling(ends[0])
    pace.follow(str(tmp_path / "q.db"))
    _quiet(pace, monkeypatch)
    (tmp_path / "q.db").unlink()

    assert not pace.sleep()
    database.execute("SELECT 1")
