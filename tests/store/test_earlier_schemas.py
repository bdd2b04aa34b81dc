"""Files of each earlier schema are brought up to date, and looked at as they are."""

from __future__ import annotations

import gc
import os
import subprocess
import sys
import warnings
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from support.earlier_schemas import STATES, make_file
from support.files import open_up
from support.forked import in_a_child

from gigq import JobQueue, Worker
from gigq.errors import StoreUnavailable
from gigq.store import schema_versions
from gigq.store.read_only import ReadingDatabase
from gigq.store.sqlite import connections
from gigq.store.sqlite.file.filesystem import resolve

if TYPE_CHECKING:
    from collections.abc import Iterator

EARLIER = range(1, schema_versions.latest("sqlite"))
BREAKING = schema_versions.usable_after("sqlite", 1)
"""The latest version whose tables older programs cannot use."""
# For what does not depend on which earlier schema it is.
one_earlier_schema = pytest.mark.parametrize("path", EARLIER[-1:], indirect=True)


@pytest.fixture(params=EARLIER)
def path(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[str]:
    name = str(tmp_path / "jobs.db")
    make_file(name, request.param)
    yield name
    connections.close_connections()


def test_a_file_of_an_earlier_schema_keeps_its_jobs_and_goes_on(path: str) -> None:
    queue = JobQueue(path)
    before = {state: queue.stats()[state] for state in STATES}
    worker = Worker(path)
    worker._check_for_timeouts()
    while worker.process_one():
        pass

    assert before == dict.fromkeys(STATES, 1)
    assert queue.stats()["completed"] == 3
    assert [one["status"] for one in queue.get_status("running")["executions"]] == [
        "failed",
        "completed",
    ]


def test_a_file_of_an_earlier_schema_is_read_and_not_changed(path: str) -> None:
    before = Path(path).read_bytes()
    rows = ReadingDatabase(resolve(path)).all("schema_version")

    assert rows == [{"version": schema_versions.latest("sqlite")}]
    assert Path(path).read_bytes() == before


@one_earlier_schema
def test_a_reader_of_an_earlier_schema_ends_without_a_warning_of_an_open_database(
    path: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    problems: list[BaseException | None] = []
    monkeypatch.setattr(sys, "unraisablehook", lambda problem: problems.append(problem.exc_value))
    reader = ReadingDatabase(resolve(path))
    reader.all("schema_version")

    with warnings.catch_warnings():
        warnings.simplefilter("error", ResourceWarning)
        del reader
        gc.collect()

    assert problems == []


HOLDER = """
import sys
from gigq.store.sqlite.processes import run_locks
run_locks.schema_known = lambda: int(sys.argv[2])
held = run_locks.RunLock(sys.argv[1], "gigqd")
print("held", flush=True)
sys.stdin.readline()
"""


@contextmanager
def live_daemon(path: str, knows: int) -> Iterator[int]:
    """Another process that runs jobs of the queue, with a gigq that knows a schema."""
    with subprocess.Popen(
        [sys.executable, "-c", HOLDER, path, str(knows)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    ) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == b"held\n"
        yield holder.pid
        holder.communicate(b"\n")


@pytest.mark.parametrize("path", [BREAKING - 1], indirect=True)
def test_a_file_is_not_migrated_under_a_daemon_that_would_refuse_it_then(path: str) -> None:
    before = Path(path).read_bytes()
    with live_daemon(path, BREAKING - 1) as pid:
        with pytest.raises(StoreUnavailable, match=f"process {pid}, .*Nothing was changed"):
            JobQueue(path)
        connections.close_connections()
        assert Path(path).read_bytes() == before

    assert JobQueue(path).stats()["completed"] == 1


@one_earlier_schema
def test_a_file_is_migrated_beside_a_daemon_that_knows_the_new_schema(path: str) -> None:
    with live_daemon(path, schema_versions.latest("sqlite")):
        assert JobQueue(path).stats()["completed"] == 1


@one_earlier_schema
@pytest.mark.root
@pytest.mark.skipif(os.geteuid() != 0, reason="only root can be another account")
def test_an_account_that_cannot_see_which_processes_run_jobs_migrates_no_file(
    path: str, tmp_path: Path
) -> None:
    open_up(tmp_path)
    tmp_path.chmod(0o777)
    Path(path).chmod(0o666)
    before = Path(path).read_bytes()

    def as_another_account() -> object:
        os.setgroups([])
        os.setgid(4711)
        os.setuid(4711)
        return JobQueue(path)

    with live_daemon(path, schema_versions.latest("sqlite") - 1):
        assert "only the file's owner can see" in in_a_child(as_another_account)
    assert Path(path).read_bytes() == before
