"""A transaction that code of an application leaves open never holds the outcome of a job."""

from __future__ import annotations

import sys
from types import ModuleType
from typing import TYPE_CHECKING, Any

import pytest

from gigq import Job, JobQueue, Worker, events
from gigq.store.database import is_in_transaction

if TYPE_CHECKING:
    from collections.abc import Iterator

    from support.raw_sql import Program

HOOKS = "hooks_that_begin"


def connection_of(address: str) -> Any:
    return JobQueue(address, initialize=False)._get_connection()


def begin(address: str) -> None:
    """Leave a transaction open on the connection of this thread."""
    connection_of(address).execute("BEGIN")


def begin_and_fail(address: str) -> None:
    begin(address)
    raise ValueError("after BEGIN")


def begin_on_a_new_connection(address: str) -> None:
    JobQueue(address, initialize=False).close()
    begin(address)


def begin_and_write(address: str) -> None:
    begin(address)
    JobQueue(address, initialize=False).submit(Job("lost", print))


def begin_and_break_it(address: str) -> None:
    """Leave a transaction that can only be undone."""
    begin(address)
    with pytest.raises(Exception, match="missing"):
        connection_of(address).execute("SELECT * FROM missing")


def close_the_connection(address: str) -> None:
    """Close the connection without a word to the queue."""
    connection_of(address).close()


def leave_a_block_open(address: str) -> None:
    """Leave a block of psycopg open, which forbids a rollback from outside."""
    LEFT.append(connection_of(address).transaction())
    LEFT[-1].__enter__()


def leave_a_statement_under_way(address: str) -> None:
    connection_of(address).pgconn.send_query(b"SELECT pg_sleep(60)")


LEFT: list[Any] = []
EITHER = [begin, begin_and_fail, begin_on_a_new_connection, begin_and_write, begin_and_break_it]
POSTGRES = [leave_a_block_open, leave_a_statement_under_way]


@pytest.fixture
def seen() -> Iterator[list[dict[str, Any]]]:
    """The events about transactions that were rolled back."""
    found: list[dict[str, Any]] = []
    end = events.subscribe(
        lambda name, fields: (
            found.append(fields) if name == events.TRANSACTION_ROLLED_BACK else None
        )
    )
    yield found
    end()


def _statuses(program: Program) -> list[str]:
    """The statuses of all jobs, as another program sees them."""
    return [row["status"] for row in program.rows("SELECT status FROM jobs")]


def _settled_after(function: Any, address: str, program: Program) -> str:
    """Run a job; the id of it, whose outcome another program sees."""
    queue = JobQueue(address)
    job_id = queue.submit(Job("begins", function, {"address": address}, max_attempts=1))
    assert Worker(address).process_one()
    assert not is_in_transaction(queue._get_connection())
    expected = "failed" if function is begin_and_fail else "completed"
    assert program.rows("SELECT id, status FROM jobs") == [{"id": job_id, "status": expected}]
    return job_id


@pytest.mark.parametrize("function", EITHER)
def test_the_outcome_of_a_job_is_not_part_of_a_transaction_that_it_leaves_open(
    address, program, seen, function
):
    job_id = _settled_after(function, address, program)

    assert [(one["left_by"], one["job_id"], one["job"]) for one in seen] == [
        ("job", job_id, "begins")
    ]


@pytest.mark.only("postgres")
@pytest.mark.parametrize("function", POSTGRES)
def test_nor_of_one_that_only_the_end_of_the_connection_ends(address, program, seen, function):
    _settled_after(function, address, program)

    assert len(seen) == 1


def test_a_connection_that_a_job_has_closed_has_no_transaction(address, program, seen):
    _settled_after(close_the_connection, address, program)

    assert seen == []


def test_the_next_job_of_a_batch_does_not_run_in_it(address, program, seen):
    queue = JobQueue(address)
    queue.submit(Job("begins", begin, {"address": address}, priority=1))
    queue.submit(Job("submits", submit_one, {"address": address}))
    worker = Worker(address)
    worker.most_at_once = 8
    worker.work_off(lambda: True)

    assert _statuses(program) == ["completed"] * 3
    assert len(seen) == 1


def submit_one(address: str) -> None:
    JobQueue(address, initialize=False).submit(Job("submitted", submit_none))


def test_a_subscriber_that_leaves_one_open_costs_no_outcome(address, program, seen):
    queue = JobQueue(address)
    for number in range(3):
        queue.submit(Job(f"job {number}", submit_none))
    end = events.subscribe(lambda name, _: begin(address) if name == events.JOB_COMPLETED else None)
    worker = Worker(address)
    while worker.process_one():
        pass
    end()

    assert _statuses(program) == ["completed"] * 3
    assert {one["left_by"] for one in seen} == {"subscriber"}


def submit_none() -> None:
    pass


@pytest.fixture
def hooks(address) -> Iterator[str]:
    """A module whose hook leaves a transaction open in each worker that starts."""
    module = ModuleType(HOOKS)
    module.worker_start = lambda: begin(address)  # type: ignore[attr-defined]
    sys.modules[HOOKS] = module
    yield HOOKS
    del sys.modules[HOOKS]


def test_a_hook_that_leaves_one_open_costs_no_outcome(address, program, seen, hooks):
    queue = JobQueue(address)
    worker = Worker(address, hooks=hooks)
    queue.submit(Job("stops", submit_none))
    end = events.subscribe(lambda name, _: worker.stop() if name == events.JOB_COMPLETED else None)
    worker.start()
    end()

    assert _statuses(program) == ["completed"]
    assert [one["left_by"] for one in seen] == ["worker_start"]


def test_a_transaction_around_the_worker_stays_open(address, program, seen):
    queue = JobQueue(address)
    queue.submit(Job("inside", submit_none))
    connection = queue._get_connection()
    connection.execute("BEGIN")
    Worker(address).process_one()

    assert is_in_transaction(connection)
    connection.execute("ROLLBACK")
    assert _statuses(program) == ["pending"]
    assert seen == []
