"""What daemons say beside a database, and what else may lie there."""

from __future__ import annotations

import json
import os
import stat
from typing import TYPE_CHECKING

import pytest

from gigq.store.sqlite.processes import announcements, run_locks
from gigq.store.sqlite.processes.run_locks import RunLock

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

POOL = {"name": "p", "size": 1, "queues": ["*"]}


@pytest.fixture
def database(tmp_path: Path) -> str:
    return str(tmp_path / "jobs.db")


@pytest.fixture
def run(database: str) -> Iterator[str]:
    lock = RunLock(database, "gigqd")
    yield lock.run
    lock.release()


def said(run: str, name: str = "default", **more: object) -> dict[str, object]:
    return {
        "name": name, "pid": 1, "run": run, "state": "running", "reason": None, "pools": [POOL],
        **more,
    }  # fmt: skip


def file_of(database: str) -> Path:
    (found,) = run_locks.companion(database).glob("daemon-*.json")
    return found


def test_what_a_living_daemon_says_is_read_as_it_said_it_last(database: str, run: str) -> None:
    announcements.write(database, "default", said(run, pools=[POOL] * 100))
    announcements.write(database, "default", said(run, state="paused"))

    assert announcements.living(database) == [said(run, state="paused")]
    assert stat.S_IMODE(file_of(database).stat().st_mode) == 0o600


def test_two_daemons_say_it_beside_each_other(database: str, run: str) -> None:
    for name in ("b", "a/../\n"):
        announcements.write(database, name, said(run, name))

    assert [one["name"] for one in announcements.living(database)] == ["a/../\n", "b"]


def test_what_a_dead_daemon_has_said_does_not_count(database: str) -> None:
    lock = RunLock(database, "gigqd")
    announcements.write(database, "default", said(lock.run))
    lock.release()
    number, word = lock.run.split(":")[1:3]
    dead = f"gigqd:{number}:{word}:boot:ns:1:1"
    announcements.write(database, "other", said(dead, "other"))

    assert announcements.living(database) == []


def test_what_was_removed_is_not_there_and_may_be_removed_again(database: str, run: str) -> None:
    announcements.write(database, "default", said(run))
    announcements.remove(database, "default", run)
    announcements.remove(database, "default", run)

    assert announcements.living(database) == []
    assert not list(run_locks.companion(database).glob("daemon-*"))


def test_to_look_makes_nothing(database: str, tmp_path: Path) -> None:
    assert announcements.living(database) == []
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "content",
    [
        b"", b"{", b"[]", b"\xff", b"null", b"{}", b"[" * 100_000,
        json.dumps({"name": "n", "run": "r", "state": "s", "pools": [{"name": "p"}]}).encode(),
        json.dumps({"name": "n", "run": 3, "state": "s", "pools": []}).encode(),
        json.dumps({"name": "n", "run": "r", "state": "s", "pools": [[]], "reason": 1}).encode(),
    ],
)  # fmt: skip
def test_a_file_with_anything_else_in_it_is_left_out(
    database: str, run: str, content: bytes
) -> None:
    announcements.write(database, "default", said(run))
    (run_locks.companion(database) / "daemon-0000.json").write_bytes(content)

    assert announcements.living(database) == [said(run)]


def test_what_is_no_file_is_left_out_and_waited_for_by_nobody(
    database: str, run: str, tmp_path: Path
) -> None:
    announcements.write(database, "default", said(run))
    elsewhere = tmp_path / "elsewhere"
    elsewhere.write_text(json.dumps(said(run, "linked")))
    folder = run_locks.companion(database)
    os.mkfifo(folder / "daemon-1.json")
    (folder / "daemon-2.json").mkdir()
    (folder / "daemon-3.json").symlink_to(elsewhere)

    assert announcements.living(database) == [said(run)]


def test_a_link_in_its_place_is_replaced_and_not_followed(
    database: str, run: str, tmp_path: Path
) -> None:
    announcements.write(database, "default", said(run))
    target = tmp_path / "target"
    target.write_text("precious")
    file_of(database).unlink()
    name = "daemon-" + announcements._file_name("default").removeprefix("daemon-")
    (run_locks.companion(database) / name).symlink_to(target)
    announcements.write(database, "default", said(run))

    assert target.read_text() == "precious"
    assert announcements.living(database) == [said(run)]
