"""A transaction that a job leaves open on its worker's connection holds no outcome."""

from __future__ import annotations

import pytest
from support import jobs
from support.jobs_of_transactions import begin

pytestmark = [
    pytest.mark.daemon,
    pytest.mark.parametrize("daemons", ["sqlite", "postgres"], indirect=True),
]


def test_it_is_rolled_back_and_the_log_names_the_job(daemons):
    daemon = daemons({"pools.default.size": 1})
    begins = daemon.submit(begin, "begins", {"address": daemon.address}, max_attempts=1)

    assert daemon.wait_for_job(begins)["status"] == "completed"
    assert daemon.wait_for_job(daemon.submit(jobs.ok, "after"))["status"] == "completed"
    (line,) = daemon.events("transaction.rolled_back")
    assert (line["left_by"], line["job_id"]) == ("job", begins)
    assert line["level"] == "warning"
    assert len(daemon.calls("begins")) == 1
    assert daemon.events("worker_exited") == []
