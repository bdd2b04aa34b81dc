"""A file that was put in place of another: when it is complete, and whose locks it must keep."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from gigq import Job, JobQueue
from gigq.errors import StoreGone, UnsupportedStore
from gigq.store import initialization
from gigq.store.sqlite import connections, initialized_mark, restored_file
from gigq.store.sqlite.file import filesystem, new_file
from gigq.store.sqlite.file.record_lock import parsed
from gigq.store.sqlite.processes.lock_holders import servers
from gigq.store.sqlite.processes.run_locks import companion_path

if TYPE_CHECKING:
    from collections.abc import Iterator

USER = """
import sys
from gigq import JobQueue
queue = JobQueue(sys.argv[1])
queue.stats()
print("open", flush=True)
sys.stdin.readline()
"""


@pytest.fixture
def path(tmp_path: Path) -> Iterator[str]:
    yield str(tmp_path / "jobs.db")
    connections.close_connections()


def old(path: str) -> None:
    """Make a file look as if nothing had written to it for long."""
    os.utime(path, (1, 1))


def test_a_file_with_half_a_header_is_waited_for(path: str) -> None:
    Path(path).write_bytes(b"SQLite format 3\0" + bytes(34))
    old(path)

    with pytest.raises(StoreGone, match="has 50 bytes of 100"):
        restored_file.wait_until_complete(path, 0)


def test_a_file_with_the_largest_pages_is_waited_for_until_the_last_one_is_there(path: str) -> None:
    with closing(sqlite3.connect(path)) as other:
        other.execute("PRAGMA page_size=65536")
        other.execute("CREATE TABLE jobs (id)")
        other.commit()
    whole = Path(path).stat().st_size
    os.truncate(path, 65536)
    old(path)

    with pytest.raises(StoreGone, match=f"has 65536 bytes of {whole}"):
        restored_file.wait_until_complete(path, 0)


def test_a_count_of_pages_that_an_old_program_has_not_kept_is_not_believed(path: str) -> None:
    with closing(sqlite3.connect(path)) as other:
        other.execute("CREATE TABLE jobs (id)")
        other.commit()
    with Path(path).open("r+b") as file:
        file.seek(28)
        file.write((9).to_bytes(4, "big"))
        file.seek(92)
        file.write((0).to_bytes(4, "big"))
    old(path)

    restored_file.wait_until_complete(path, 0)


def test_a_file_is_noted_as_complete_by_the_last_process_only(path: str) -> None:
    initialization.initialize(path)
    with subprocess.Popen(
        [sys.executable, "-c", USER, path], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as user:
        assert user.stdout is not None
        assert user.stdout.readline() == b"open\n"
        JobQueue(path).submit(Job("one", os.getpid))
        connections.close_connections()
        beside_another = initialized_mark.is_noted(path, Path(path).stat())
        user.communicate(b"\n")

    assert (beside_another, initialized_mark.is_noted(path, Path(path).stat())) == (False, True)


def test_closing_a_connection_marks_no_queue(path: str) -> None:
    connections.open_connection(path)
    companion_path(path).mkdir(mode=0o700)
    connections.close_connections()

    assert list(companion_path(path).iterdir()) == []


def test_looking_for_processes_writes_no_lock_file(path: str) -> None:
    JobQueue(path)
    companion_path(path).mkdir(mode=0o700, exist_ok=True)
    locks = companion_path(path) / "locks"
    locks.touch(mode=0o600)

    assert servers(path) == {"daemons": (), "workers": ()}
    assert locks.stat().st_size == 0


def test_only_the_locks_of_sqlite_are_counted() -> None:
    lines = [
        "1: POSIX  ADVISORY  READ 4711 08:01:131 123 123",
        "2: FLOCK  ADVISORY  READ 4712 08:01:131 123 123",
        "2: -> POSIX  ADVISORY  READ 4713 08:01:131 123 123",
        "3: POSIX  ADVISORY  READ 4714 08:01:132 123 123",
        "4: POSIX  ADVISORY  READ 4715 08:01:131 0 EOF",
    ]

    assert [one.pid for one in parsed(lines, 131) if one.first in range(123, 128)] == [4711]


def test_no_file_is_made_on_a_network_file_system(
    path: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    mounts = "30 21 0:44 / / rw - nfs4 host:/export rw"
    monkeypatch.setattr(filesystem, "_own_mounts", lambda: mounts)

    with pytest.raises(UnsupportedStore, match="network file system"):
        new_file.create(path)
    assert not Path(path).exists()
