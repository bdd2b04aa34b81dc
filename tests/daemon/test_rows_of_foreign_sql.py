"""Rows that foreign SQL wrote, under the real daemon: each is failed or run, no more."""

from __future__ import annotations

from support import odd_errors, odd_rows
from support.ledger import insert, job_row
from support.waiting import wait_until

from gigq import Job


def test_odd_rows_stop_neither_a_worker_nor_the_recorder(daemons):
    daemon = daemons({"pools.default.size": 2, "retention.failed_age": "1d"}, start=False)
    db = daemon.queue._database
    where = {"function_module": "support.jobs_to_run", "function_name": "nothing"}
    insert(db, [job_row(**where) for _ in range(200)])
    odd_rows.store(db, odd_rows.FAILED, "failed")
    odd_rows.store(db, odd_rows.COMPLETED, "completed")
    insert(db, [job_row(**where) for _ in range(200)])
    daemon.start()
    wait_until(
        lambda: not daemon.queue.list_jobs("pending") and not daemon.queue.list_jobs("running")
    )

    assert odd_rows.wrong(db) == []
    assert daemon.queue.stats()["completed"] == 400 + len(odd_rows.COMPLETED)
    assert [line for line in daemon.events("worker_exited") if line["cause"] == "crashed"] == []
    assert daemon.command("status").returncode == 0
    assert daemon.command("status", "--json").returncode == 0


def test_exceptions_whose_attributes_raise_cost_no_worker(daemons):
    daemon = daemons({"pools.default.size": 1})
    kinds = [*odd_errors.KINDS, *odd_errors.GLOBALS]
    ids = [
        daemon.queue.submit(Job(kind, odd_errors.fail, {"kind": kind}, max_attempts=1))
        for kind in kinds
    ]

    assert [daemon.wait_for_job(job_id)["status"] for job_id in ids] == ["failed"] * len(ids)
    assert daemon.events("worker_exited") == []
    assert daemon.events("child_failed") == []
