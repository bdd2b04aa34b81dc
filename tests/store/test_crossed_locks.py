"""Many processes that change the same jobs: no job is lost, and no verb fails."""

from __future__ import annotations

import json
import threading
from collections import Counter
from typing import TYPE_CHECKING, Any

import pytest
from support import stores
from support.ledger import (
    COMPLETED,
    FAILED_FOR_GOOD,
    STOPPED,
    insert,
    job_row,
    over,
    status_of,
    stored,
)
from support.side_by_side import Beside

from gigq.model.claim import Claimant, ClaimRequest, SettleBatch
from gigq.model.ids import new_id
from gigq.store.verbs import jobs, requeue, settle_and_claim

if TYPE_CHECKING:
    from collections.abc import Callable

    from support.raw_sql import Program

    from gigq.store.database import Database

pytestmark = pytest.mark.only("postgres")
LEVELS, BREADTH = 6, 8


def test_a_verb_is_repeated_when_the_server_has_undone_it(
    db: Database, address: str, program: Program
) -> None:
    parents = sorted(insert(db, [job_row(), job_row()]))
    second = Beside(
        address.replace("search_path", "deadlock_timeout%3D1s%20-csearch_path"),
        lambda other: stored(other, dependencies=parents),
    )
    program.execute("BEGIN")
    program.execute("SET LOCAL deadlock_timeout = '1min'")
    program.execute("UPDATE jobs SET priority = 1 WHERE id = ?", (parents[1],))
    second.start()
    second.as_far_as_it_gets()
    program.execute("UPDATE jobs SET priority = 1 WHERE id = ?", (parents[0],))
    program.execute("COMMIT")

    assert status_of(db, second.finish()) == "pending"


def family(db: Database) -> list[str]:
    """Jobs in levels; each waits for two of the level above. Ids have no order of levels."""
    levels: list[list[str]] = []
    rows = []
    for _ in range(LEVELS):
        level = [job_row(max_attempts=9) for _ in range(BREADTH)]
        for number, row in enumerate(level if levels else ()):
            row["dependencies"] = [levels[-1][number], levels[-1][(number + 3) % BREADTH]]
        levels.append([row["id"] for row in level])
        rows += level
    return insert(db, sorted(rows, key=lambda row: str(row["id"])[::-1]))


def in_threads(is_over: threading.Event, *actions: Callable[[], object]) -> list[BaseException]:
    errors: list[BaseException] = []

    def run(action: Callable[[], object]) -> None:
        try:
            action()
        except BaseException as error:  # noqa: BLE001 - the test shows it
            errors.append(error)
            is_over.set()

    threads = [threading.Thread(target=run, args=(action,), daemon=True) for action in actions]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    return errors


def work_off(address: str, is_over: threading.Event, ended: Counter[str], number: int) -> None:
    """Claim and settle in batches; complete all but a few, which fail or are stopped once."""
    db = stores.database_at(address)
    who = Claimant(f"w{number}", "worker:1", ("default",))
    held: list[dict[str, Any]] = []
    turn = 0
    while held or not is_over.is_set():
        turn += 1
        outcome = {3: STOPPED, 5: FAILED_FOR_GOOD}.get(turn % 7, COMPLETED)
        batch = SettleBatch(tuple(over(row, outcome) for row in held))
        wanted = ClaimRequest(new_id(), most=4, fits=lambda _: True)
        done, held, _ = settle_and_claim.exchange(db, batch, who, wanted)
        ended.update(one.job_id for one in done if one and one.job_status.value == "completed")


def requeue_all(address: str, ids: list[str], is_over: threading.Event) -> None:
    """Requeue what failed, and store and cancel dependents of it, until all have completed."""
    db = stores.database_at(address)
    try:
        while not is_over.is_set() and not are_completed(db, ids):
            requeue.requeue(db, ids, with_dependents=True)
            child = stored(db, dependencies=ids[::9], on_parent_failure="wait", queue="never")
            jobs.cancel(db, [child])
    finally:
        is_over.set()


def are_completed(db: Database, ids: list[str]) -> bool:
    rows = db.all("jobs_by_id", {"ids": json.dumps(ids)})
    return {row["status"] for row in rows} == {"completed"}


def test_a_family_that_ends_and_is_requeued_at_the_same_time_completes(
    db: Database, address: str
) -> None:
    ids = family(db)
    is_over, ended = threading.Event(), Counter[str]()
    errors = in_threads(
        is_over,
        *(lambda n=n: work_off(address, is_over, ended, n) for n in range(3)),
        lambda: requeue_all(address, ids, is_over),
    )

    is_over.set()

    assert errors == []
    assert ended == dict.fromkeys(ids, 1)
