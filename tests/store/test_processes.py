"""The rows of the processes that run jobs."""

from __future__ import annotations

import os
import threading
from typing import TYPE_CHECKING

import pytest
from support.ledger import stored
from support.waiting import wait_until

from gigq import Worker
from gigq.model.claim import Claimant
from gigq.model.ids import new_id
from gigq.store.verbs import processes, settle_and_claim
from gigq.store.verbs.processes import Process

if TYPE_CHECKING:
    from gigq import JobQueue
    from gigq.store.database import Database


def process(run: str) -> Process:
    return Process(run, "gigqd", "here", 2, "0.1.0", None)


def runs(db: Database) -> list[str]:
    return [row["run"] for row in processes.listed(db)]


def test_a_shown_process_replaces_those_that_have_ended(db: Database) -> None:
    for run in ("dead", "alive"):
        processes.renew(db, process(run))

    processes.show(db, process("new"), lambda run: run == "alive")

    assert sorted(runs(db)) == ["alive", "new"]


def test_each_process_is_listed_with_its_open_executions(db: Database) -> None:
    job_id = stored(db, "job")
    for run in ("busy", "idle"):
        processes.renew(db, process(run))
    settle_and_claim.claim(db, Claimant("worker", "busy"), new_id())

    found = {row["run"]: [one["job_id"] for one in row["running"]] for row in processes.listed(db)}

    assert found == {"busy": [job_id], "idle": []}


@pytest.mark.only("sqlite")
def test_a_plain_worker_is_shown_until_its_last_thread_leaves(
    address: str, queue: JobQueue, db: Database
) -> None:
    workers = [Worker(address, f"w{number}", 0.05) for number in range(2)]
    threads = [threading.Thread(target=worker.start) for worker in workers]

    threads[0].start()
    wait_until(lambda: runs(db), why="the row is there")
    (row,) = processes.listed(db)
    threads[1].start()
    wait_until(lambda: processes.listed(db)[0]["seen_at"] != row["seen_at"], why="both are at work")
    workers[0].stop()
    threads[0].join()
    left = runs(db)
    workers[1].stop()
    threads[1].join()

    assert (row["kind"], row["pid"]) == ("worker", os.getpid())
    assert left == [row["run"]]
    assert runs(db) == []
