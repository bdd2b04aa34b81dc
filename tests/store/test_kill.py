"""Workers killed at any moment: no job is lost, runs twice at once, or completes twice."""

from __future__ import annotations

import collections
import multiprocessing
import os
import random
from typing import TYPE_CHECKING, Any

import pytest
from support import raw_sql, stores
from support.ledger import insert, job_row, over
from support.waiting import wait_until

from gigq.model.cause import Cause
from gigq.model.claim import Claim, Claimant, ClaimRequest, SettleBatch
from gigq.model.execution_result import ExecutionResult
from gigq.model.ids import new_id
from gigq.model.job_status import JobStatus
from gigq.store.dialect import SQLITE
from gigq.store.sqlite.processes.run_locks import RunLock, is_alive
from gigq.store.verbs import jobs, settle_and_claim

if TYPE_CHECKING:
    from multiprocessing.process import BaseProcess
    from pathlib import Path

    from gigq.store.database import Database

forked = multiprocessing.get_context("fork")
LOST = ExecutionResult(JobStatus.FAILED, error="lost", cause=Cause.LOST)
FEW, MANY = (300, 6), (2000, 30)  # jobs and kills


def work(address: str, runs: Path, diary: Path, most: int) -> None:
    """Run jobs for ever, writing down each start and each end outside of the database."""
    db = stores.database_at(address)
    claimant = Claimant(str(os.getpid()), RunLock(runs, "worker").run)
    lines = os.open(diary, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    rows: list[dict[str, Any]] = []
    while True:
        begun, unbegun = rows[: len(rows) * 3 // 4 + 1], rows[len(rows) * 3 // 4 + 1 :]
        for row in begun:
            os.write(lines, f"start {row['id']}\n".encode())
            os.write(lines, f"end {row['id']}\n".encode())
        handover = SettleBatch(tuple(map(over, begun)), tuple(map(Claim.from_row, unbegun)))
        done, rows, _ = settle_and_claim.exchange(
            db, handover, claimant, ClaimRequest(new_id(), most, sharers=3)
        )
        for settled in filter(None, done[: len(begun)]):
            os.write(lines, f"settled {settled.job_id}\n".encode())


def rescue(db: Database, runs: Path) -> None:
    """Settle the executions of processes that the kernel says are gone."""
    for execution in settle_and_claim.open_executions(db):
        if not is_alive(runs, execution["run"]):
            settle_and_claim.settle(db, execution["execution_id"], LOST)


def start(address: str, runs: Path, diary: Path, most: int) -> BaseProcess:
    worker = forked.Process(target=work, args=(address, runs, diary, most), daemon=True)
    worker.start()
    return worker


@pytest.mark.parametrize("count", [FEW, pytest.param(MANY, marks=pytest.mark.soak)])
@pytest.mark.parametrize("most", [1, 16])
def test_workers_killed_at_random_lose_nothing_and_repeat_nothing_that_was_settled(
    db: Database, address: str, tmp_path: Path, most: int, count: tuple[int, int]
) -> None:
    total, kills = count
    diary = tmp_path / "diary"
    diary.touch()
    runs = tmp_path / "runs"
    ids = insert(db, [job_row(max_attempts=100) for _ in range(total)])
    workers = [start(address, runs, diary, most) for _ in range(3)]
    for number in range(1, kills + 1):
        share = total * number // (2 * kills)
        wait_until(lambda share=share: diary.read_text().count("settled") >= share)
        victim = workers.pop(random.randrange(len(workers)))
        victim.kill()
        victim.join()
        rescue(db, runs)
        workers.append(start(address, runs, diary, most))
    wait_until(lambda: jobs.counts(db) == {"completed": total}, 60)
    for worker in workers:
        worker.kill()
        worker.join()
    counts = collections.Counter(diary.read_text().splitlines())
    starts = [len(jobs.executions(db, id_)) for id_ in ids]

    assert settle_and_claim.open_executions(db) == []
    for id_, attempts in zip(ids, starts, strict=True):
        assert counts[f"settled {id_}"] <= 1
        assert 1 <= counts[f"end {id_}"] <= counts[f"start {id_}"] <= attempts
    if db.dialect == SQLITE:
        assert raw_sql.run(db, "PRAGMA integrity_check") == [("ok",)]
