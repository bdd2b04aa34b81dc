"""Modules that another thread is importing stand in `sys.modules` before they have any contents."""

import sys
import types

import pytest
from support import jobs_to_run

import gigq


@pytest.mark.parametrize("name", ["multiprocessing.process", "decimal"])
def test_a_job_is_submitted_and_run_while_another_thread_imports_a_module(
    name, tmp_path, monkeypatch
):
    monkeypatch.setitem(sys.modules, name, types.ModuleType(name))

    with gigq.JobQueue(tmp_path / "jobs.db") as queue:
        job_id = queue.submit(gigq.Job("job", jobs_to_run.nothing))
        gigq.Worker(queue.db_path).process_one()

        assert queue.get_status(job_id)["status"] == "completed"
