"""A process that closes the files of its own database has lost its locks on them."""

from __future__ import annotations

import subprocess
import sys
import threading
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from gigq.errors import StoreGone
from gigq.store.sqlite.connections import close_connections, open_connection
from gigq.store.sqlite.file.identity import log_of
from gigq.store.sqlite.file.lost_locks import log_was_closed

if TYPE_CHECKING:
    from collections.abc import Iterator

WRITE = """
import sys
from gigq.store.sqlite.connections import open_connection
open_connection(sys.argv[1]).execute("INSERT INTO seen VALUES ('elsewhere')")
"""

pytestmark = pytest.mark.fault("G21")


@pytest.fixture
def path(tmp_path: Path) -> Iterator[str]:
    path = str(tmp_path / "queue.db")
    open_connection(path).execute("CREATE TABLE seen (word TEXT)")
    yield path
    close_connections()


def close_the_file_here(path: str) -> None:
    """Read the file as an archive does: SQLite's locks of this process are gone then."""
    Path(path).read_bytes()


def be_the_last_elsewhere(path: str) -> None:
    """Write in another process, which deletes the log when it closes its connection."""
    subprocess.run([sys.executable, "-c", WRITE, path], check=True)
    assert not Path(f"{path}-wal").exists()


def words(path: str) -> list[str]:
    return [row[0] for row in open_connection(path).execute("SELECT word FROM seen")]


def test_what_is_written_after_another_process_has_deleted_the_log_is_seen_by_all(
    path: str,
) -> None:
    close_the_file_here(path)
    be_the_last_elsewhere(path)
    open_connection(path).execute("INSERT INTO seen VALUES ('here')")
    subprocess.run([sys.executable, "-c", WRITE, path], check=True)

    assert words(path) == ["elsewhere", "here", "elsewhere"]


def test_no_connection_is_opened_while_another_thread_has_the_deleted_log_open(path: str) -> None:
    opened, go_on = threading.Event(), threading.Event()

    def use_it_twice() -> None:
        open_connection(path)
        opened.set()
        go_on.wait()
        assert words(path) == ["elsewhere"]

    thread = threading.Thread(target=use_it_twice)
    thread.start()
    opened.wait()
    close_the_file_here(path)
    be_the_last_elsewhere(path)

    try:
        with pytest.raises(StoreGone, match="another thread still uses it"):
            open_connection(path)
    finally:
        go_on.set()
        thread.join()

    assert words(path) == ["elsewhere"]


def test_a_log_that_was_deleted_under_a_lock_was_not_closed_by_the_last_process(path: str) -> None:
    log = log_of(path)
    for end in ("-wal", "-shm"):
        Path(f"{path}{end}").unlink()

    assert not log_was_closed(path, log)
    close_the_file_here(path)
    assert log_was_closed(path, log)
