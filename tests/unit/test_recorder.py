"""Messages of the recorder, and database errors."""

from __future__ import annotations

import fcntl
import resource
import socket
from contextlib import closing
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest

from gigq.errors import (
    SchemaTooNew,
    StoreCorrupt,
    StoreError,
    StoreGone,
    StoreLocked,
    StoreUnavailable,
    UnsupportedStore,
)
from gigq.store.sqlite import connections
from gigqd.config import RetentionConfig
from gigqd.host.database_errors import RetryDelay, database_error_of
from gigqd.ipc import json_socket
from gigqd.ipc.scoreboard import Scoreboard
from gigqd.recorder.recorder import Recorder
from gigqd.supervisor.recorder_link import RecorderLink

if TYPE_CHECKING:
    from collections.abc import Iterator

_BEYOND_SELECT = 1024


@pytest.fixture
def high_descriptors() -> Iterator[None]:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = 2 * _BEYOND_SELECT
    if hard != resource.RLIM_INFINITY and hard < wanted:
        pytest.skip(f"this account may not open more than {hard} files")
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, wanted), hard))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def context_of(channel: socket.socket, database: str, durability: str = "normal") -> Any:
    return SimpleNamespace(
        config=SimpleNamespace(
            daemon=SimpleNamespace(name="default"),
            pools=(),
            place=Path(database),
            database_file=Path(database),
            queue=SimpleNamespace(database=database, durability=durability),
            retention=RetentionConfig(),
        ),
        tag=SimpleNamespace(run="gigqd:1", generation=1),
        cell=Scoreboard(1).take(),
        json_socket=channel,
    )


@pytest.mark.parametrize(("durability", "synchronous"), [("normal", 1), ("full", 2)])
def test_a_recorder_writes_as_durably_as_configured(
    tmp_path: Path, durability: str, synchronous: int
) -> None:
    ours, theirs = json_socket.pair()
    with closing(ours), theirs:
        recorder = Recorder(context_of(theirs, str(tmp_path / "jobs.db"), durability))
        with recorder._storage.database.transaction(durable=False) as session:
            found = session.connection.execute("PRAGMA synchronous").fetchone()[0]
    connections.close_connections()

    assert found == synchronous


@pytest.mark.usefixtures("high_descriptors")
def test_a_daemon_with_many_workers_can_replace_its_recorder(tmp_path: Path) -> None:
    ours, theirs = json_socket.pair()
    high = fcntl.fcntl(theirs.fileno(), fcntl.F_DUPFD_CLOEXEC, _BEYOND_SELECT)
    channel = socket.socket(fileno=high)
    recorder = Recorder(context_of(channel, str(tmp_path / "jobs.db")))
    ours.send({"leave": True})

    recorder._listen()

    assert recorder._leaving
    for each in (ours, channel, theirs):
        each.close()


@pytest.mark.parametrize(
    ("error", "pause_claims", "code"),
    [
        (StoreLocked("q.db is locked"), False, None),
        (StoreUnavailable("q.db: disk full"), False, None),
        (OSError("no room"), False, None),
        (PermissionError("q.db.gigq/initialized is a symbolic link"), False, 77),
        (StoreGone("q.db is gone"), True, None),
        (StoreCorrupt("q.db is damaged"), True, 69),
        (StoreError("no such column"), False, 69),
        (SchemaTooNew("schema 999"), True, 78),
        (UnsupportedStore("on nfs"), True, 78),
    ],
)
def test_trouble_holds_claims_when_the_file_itself_is_not_to_be_trusted(
    error: Exception, pause_claims: bool, code: int | None
) -> None:
    database_error = database_error_of(error)

    assert (database_error.text, database_error.pause_claims, database_error.code) == (
        str(error),
        pause_claims,
        code,
    )


def test_trouble_is_tried_again_later_and_later_and_soon_after_it_was_over() -> None:
    patience = RetryDelay()
    waits = []
    for _ in range(8):
        patience.wait(100.0)
        waits.append(patience.until - 100.0)

    assert waits == sorted(waits)
    assert waits[0] == pytest.approx(0.1)
    assert waits[-1] == pytest.approx(2.0)
    patience.end()
    patience.wait(100.0)
    assert patience.until - 100.0 == pytest.approx(0.1)


def test_the_supervisor_hears_what_to_cancel_and_whether_to_hold() -> None:
    link = RecorderLink()
    link.receive({"cancel": ["e1", "e2"]})
    link.receive({"database_error": "the file is gone", "pause_claims": True})

    assert link.cancels == {"e1", "e2"}
    assert (link.database_error, link.pause_claims) == ("the file is gone", True)
    link.receive({"cancel": []})
    link.receive({"database_error": None, "pause_claims": False})
    assert link.cancels == frozenset()
    assert (link.database_error, link.pause_claims) == (None, False)
