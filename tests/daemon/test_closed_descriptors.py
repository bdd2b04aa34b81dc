"""A job that closes its worker's descriptors: the worker crashes, and writes into no other file."""

from __future__ import annotations

import pytest
from support import jobs
from support.daemon import on_both_databases
from support.jobs_of_descriptors import CONTENT, close_all, close_file

pytestmark = [
    pytest.mark.daemon,
    pytest.mark.fault("F17"),
]


@on_both_databases
@pytest.mark.parametrize("lowest", [0, 3])
@pytest.mark.parametrize("files", [0, 60])
def test_the_worker_is_replaced_and_the_job_has_crashed(daemons, files, lowest):
    daemon = daemons({"pools.default.size": 1})
    folder = daemon.home / "files"
    folder.mkdir()
    params = {"folder": str(folder), "files": files, "lowest": lowest}
    closes = daemon.submit(close_all, "closes", params, max_attempts=2)
    after = daemon.submit(jobs.ok, "after")

    done = daemon.wait_for_job(closes)
    assert daemon.wait_for_job(after)["status"] == "completed"
    assert done["status"] == "failed"
    crashes = [(one["cause"], one["exit_code"]) for one in done["executions"]]
    assert crashes == [("crashed", 83)] * 2
    assert len(daemon.calls("closes")) == 2
    said = [one["output"] for one in done["executions"]]
    assert all("closed descriptors of its worker" in (one or "") for one in said) is (lowest == 3)
    assert [path.read_bytes() for path in folder.iterdir()] == [CONTENT] * files


@pytest.mark.parametrize("is_first", [True, False])
@pytest.mark.parametrize("suffix", ["", "-wal", "-shm"])
def test_a_job_that_closes_a_file_of_the_database_alone_has_crashed(daemons, suffix, is_first):
    daemon = daemons({"pools.default.size": 1})
    if not is_first:
        daemon.wait_for_job(daemon.submit(jobs.ok, "before"))
    closes = daemon.submit(
        close_file, "closes", {"path": f"{daemon.database}{suffix}"}, max_attempts=1
    )
    after = daemon.submit(jobs.ok, "after")

    done = daemon.wait_for_job(closes)
    assert daemon.wait_for_job(after)["status"] == "completed"
    assert [(one["cause"], one["exit_code"]) for one in done["executions"]] == [("crashed", 83)]
