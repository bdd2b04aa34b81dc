"""Files of each earlier schema are brought up to date, and looked at as they are."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from support.earlier_schemas import STATES, make_file

from gigq import JobQueue, Worker
from gigq.store import connect, migrate
from gigq.store.filesystem import resolve
from gigq.store.reading import ReadingDatabase

if TYPE_CHECKING:
    from collections.abc import Iterator

EARLIER = range(1, migrate.latest("sqlite"))


@pytest.fixture(params=EARLIER)
def path(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[str]:
    name = str(tmp_path / "jobs.db")
    make_file(name, request.param)
    yield name
    connect.close_connections()


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

    assert rows == [{"version": migrate.latest("sqlite")}]
    assert Path(path).read_bytes() == before
