"""Finished jobs go by age and by number, and nothing else does."""

from __future__ import annotations

from contextlib import closing
from typing import TYPE_CHECKING, Any

import pytest
from support.finished_jobs import elsewhere, fail, run_all, run_sql, submit, work
from support.raw_sql import Program

from gigq import Job, JobQueue, JobStatus
from gigq.model import clock
from gigq.store.verbs import prune

if TYPE_CHECKING:
    from collections.abc import Callable

DAY = 86400.0


def rows_of(address: str, table: str) -> int:
    with closing(Program(address)) as program:
        return int(program.execute(f"SELECT count(*) FROM {table}").fetchone()[0])


def make_old(address: str, *ids: str, days: int = 10) -> None:
    for id_ in ids:
        run_sql(
            address,
            "UPDATE jobs SET created_at = ?, completed_at = ? WHERE id = ?",
            *[clock.after(clock.utc_now(), -days * DAY)] * 2,
            id_,
        )


def left(queue: JobQueue) -> set[str]:
    return {row["id"] for row in queue.list_jobs(limit=1000)}


def test_what_ended_long_ago_goes_with_its_executions(queue: JobQueue, address: str) -> None:
    old, young = submit(queue, 2), submit(queue, 2)
    run_all(address)
    make_old(address, *old)

    assert queue.prune(older_than=7 * DAY, statuses=["completed"]) == {"completed": 2}
    assert left(queue) == set(young)
    assert rows_of(address, "job_executions") == 2


def test_a_job_that_waited_long_and_ended_now_stays(queue: JobQueue, address: str) -> None:
    late, old = submit(queue, 2)
    run_all(address)
    make_old(address, old, late)
    run_sql(address, "UPDATE jobs SET completed_at = updated_at WHERE id = ?", late)

    assert queue.prune(older_than=7 * DAY)["completed"] == 1
    assert left(queue) == {late}


def test_of_too_many_those_stored_last_are_kept(queue: JobQueue, address: str) -> None:
    ids = submit(queue, 200)
    run_all(address)

    assert queue.prune(keep=30)["completed"] == 170
    assert left(queue) == set(ids[-30:])


def test_each_status_is_pruned_by_itself(queue: JobQueue, address: str) -> None:
    submit(queue, 2)
    failed = submit(queue, 2, fail)
    pending = elsewhere(queue)
    run_all(address)

    assert queue.prune(keep=0, statuses=[JobStatus.COMPLETED]) == {"completed": 2}
    assert left(queue) == {*failed, *pending}


def test_a_parent_stays_while_a_child_may_ask_for_its_result(queue: JobQueue, address: str) -> None:
    parent = queue.submit(Job("parent", work))
    run_all(address)
    child = queue.submit(Job("child", work, dependencies=[parent]))

    assert queue.prune(keep=0)["completed"] == 0
    run_all(address)
    assert queue.prune(keep=0)["completed"] == 2
    assert left(queue) == set()
    assert child not in left(queue)


@pytest.mark.parametrize("form", ['["{}"]', '[ "{}" ]', '["other","{}"]', '["\\u00e4", "{}"]'])
def test_a_parent_stays_in_whatever_form_another_program_names_it(
    queue: JobQueue, address: str, form: str
) -> None:
    (parent,) = submit(queue, 1)
    run_all(address)
    child = queue.submit(Job("child", work))
    run_sql(address, "UPDATE jobs SET dependencies = ? WHERE id = ?", form.format(parent), child)

    assert queue.prune(keep=0)["completed"] == 0
    assert left(queue) == {parent, child}


def four_completed(queue: JobQueue, address: str) -> list[str]:
    ids = submit(queue, 4)
    run_all(address)
    return ids


def one_pruned(queue: JobQueue, monkeypatch: pytest.MonkeyPatch) -> prune.Pruning:
    """A pruning of all completed jobs, one in a batch, after its first batch."""
    for limit in ("_FIRST", "_MOST", "_MOST_ON_SERVER"):
        monkeypatch.setattr(prune, limit, 1)
    pruning = prune.Pruning(queue._database, {"completed": prune.Keep(most=0)})
    assert pruning.batch()
    return pruning


def test_a_child_stored_between_two_batches_keeps_its_parent(
    queue: JobQueue, address: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    ids = four_completed(queue, address)
    keep = elsewhere(queue)
    pruning = one_pruned(queue, monkeypatch)
    child = queue.submit(Job("child", work, dependencies=[ids[2]], queue="elsewhere"))
    while pruning.batch():
        pass

    assert left(queue) == {ids[2], child, *keep}


def test_a_row_number_that_is_used_again_hides_no_child(
    queue: JobQueue, address: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    ids = four_completed(queue, address)
    last = elsewhere(queue)
    pruning = one_pruned(queue, monkeypatch)
    run_sql(address, "DELETE FROM jobs WHERE id = ?", last[0])
    child = queue.submit(Job("child", work, dependencies=[ids[2]], queue="elsewhere"))
    while pruning.batch():
        pass

    assert left(queue) == {ids[2], child}


def test_a_job_with_an_open_execution_stays(queue: JobQueue, address: str) -> None:
    (job,) = submit(queue, 1)
    run_all(address)
    run_sql(address, "UPDATE job_executions SET status = 'running' WHERE job_id = ?", job)

    assert queue.prune(keep=0)["completed"] == 0
    assert left(queue) == {job}


def between_batches(monkeypatch: pytest.MonkeyPatch, act: Callable[[], object]) -> None:
    """Let something happen between the choice of the jobs and their deletion."""
    take = prune.Pruning._take

    def act_and_take(*chosen: Any) -> bool:
        act()
        return take(*chosen)

    monkeypatch.setattr(prune.Pruning, "_take", act_and_take)


def test_what_was_requeued_meanwhile_stays(
    queue: JobQueue, address: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    (job,) = submit(queue, 1, fail)
    run_all(address)
    between_batches(monkeypatch, lambda: queue.requeue_job(job))

    assert queue.prune(keep=0)["failed"] == 0
    assert queue.get_status(job)["status"] == "pending"
    assert len(queue.get_status(job)["executions"]) == 1


def test_what_was_requeued_and_is_over_again_stays_for_its_time(
    queue: JobQueue, address: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    (job,) = submit(queue, 1, fail)
    run_all(address)
    make_old(address, job)

    def run_again() -> None:
        queue.requeue_job(job)
        run_all(address)

    between_batches(monkeypatch, run_again)

    assert queue.prune(older_than=7 * DAY)["failed"] == 0
    assert left(queue) == {job}


def test_what_foreign_sql_made_pending_meanwhile_stays(
    queue: JobQueue, address: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    (job,) = submit(queue, 1)
    run_all(address)
    between_batches(
        monkeypatch,
        lambda: run_sql(address, "UPDATE jobs SET status = 'pending' WHERE id = ?", job),
    )

    assert queue.prune(keep=0)["completed"] == 0
    assert left(queue) == {job}


def test_a_child_requeued_during_the_wait_still_waits_for_its_parent(
    queue: JobQueue, address: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    parent = queue.submit(Job("parent", work))
    child = queue.submit(Job("child", work, dependencies=[parent]))
    assert queue.cancel(child)
    between_batches(monkeypatch, lambda: queue.requeue_job(child))

    assert queue.prune(keep=0)["cancelled"] == 0
    assert rows_of(address, "job_dependencies") == 1


def test_a_dry_run_counts_the_same_and_deletes_nothing(queue: JobQueue, address: str) -> None:
    ids = submit(queue, 5)
    run_all(address)
    queue.submit(Job("child", work, dependencies=[ids[0]]))
    would = queue.prune(keep=2, dry_run=True)

    assert would["completed"] == 2
    assert set(ids) <= left(queue)
    assert queue.prune(keep=2) == would


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ({}, "everything would be kept"),
        ({"keep": -1}, "cannot be kept"),
        ({"keep": 0, "statuses": ["running"]}, "not finished"),
    ],
)
def test_what_makes_no_sense_is_refused(
    queue: JobQueue, asked: dict[str, object], said: str
) -> None:
    with pytest.raises(ValueError, match=said):
        queue.prune(**asked)  # type: ignore[arg-type]
