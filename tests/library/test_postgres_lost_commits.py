"""Verbs whose connection is cut before the server sees the commit, or before its answer comes."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, urlsplit

import psycopg
import pytest
from psycopg.rows import dict_row
from support import postgres
from support.postgres_relay import Relay, relaying_to
from support.postgres_workers import jobs_named, runs
from support.waiting import wait_until

from gigq import Job, JobQueue, Worker, events
from gigq.descriptors import wait_readable
from gigq.errors import StoreUnavailable
from gigq.execution.exchanges import Exchanges
from gigq.execution.plain_worker_rescue import take_back
from gigq.model.claim import Claim, SettleBatch
from gigq.model.ids import new_id
from gigq.store.postgres import connections

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

_COMMIT, _INSERT = "COMMIT", "INSERT INTO jobs"
_CLAIM = """
UPDATE jobs SET status = 'running', attempts = attempts + 1, started_at = gigq_now()
WHERE id = (SELECT id FROM jobs WHERE status = 'pending' LIMIT 1) RETURNING id
"""


def fail(name: str) -> None:
    raise ValueError(name)


@pytest.fixture
def direct() -> Iterator[str]:
    """The address of the server itself."""
    with postgres.fresh_schema(f"test_{new_id().replace('-', '')}") as found:
        yield found


@pytest.fixture
def relay(direct: str) -> Iterator[Relay]:
    with relaying_to(direct) as found:
        yield found


@pytest.fixture
def address(direct: str, relay: Relay) -> Iterator[str]:
    """The address of the relay."""
    server = parse_qs(urlsplit(direct).query)["host"][0]
    found = direct.replace(f"host={server}", f"host={relay.folder}")
    yield found
    connections.close_connection(found)


@pytest.fixture
def shown(direct: str) -> Iterator[JobQueue]:
    """The queue, past the relay."""
    with JobQueue(direct) as queue:
        yield queue


@pytest.fixture
def queue(shown: JobQueue, address: str) -> Iterator[JobQueue]:
    with JobQueue(address) as found:
        yield found


@pytest.fixture
def worker(shown: JobQueue, address: str) -> Iterator[Worker]:
    found = Worker(address, "worker")
    assert not found.process_one()  # from now on it has a lease
    yield found
    found.close()


@pytest.fixture(params=[True, False], ids=["after", "before"])
def committed(request: pytest.FixtureRequest) -> bool:
    """True when the server runs the statement at which the connection is cut."""
    return bool(request.param)


@pytest.fixture
def superseded() -> Iterator[list[str]]:
    """The events about outcomes that another process had recorded."""
    found: list[str] = []
    end = events.subscribe(lambda name, _: found.append(name))
    yield found
    assert events.JOB_SUPERSEDED not in found
    end()


def lost(relay: Relay, statement: str, committed: bool, call: Callable[[], object]) -> None:
    """Call a verb whose connection is cut at a statement."""
    relay.cut_at(statement, forwards=committed)
    with pytest.raises(StoreUnavailable, match="may have been done all the same") as caught:
        call()
    assert relay.cuts == 1
    assert str(caught.value).startswith("postgresql://")


def test_a_job_that_is_submitted_again_is_stored_once(
    relay: Relay, queue: JobQueue, shown: JobQueue, committed: bool
) -> None:
    job = Job("job", fail, {"name": "a"})
    lost(relay, _INSERT, committed, lambda: queue.submit(job))
    assert shown.stats()["total"] == committed

    assert queue.submit(job) == job.id
    assert shown.stats()["total"] == 1


def test_jobs_that_are_submitted_again_are_stored_once(
    relay: Relay, queue: JobQueue, shown: JobQueue, committed: bool
) -> None:
    parent = Job("parent", fail, {"name": "a"})
    child = Job("child", fail, {"name": "b"}, dependencies=[parent.id])
    lost(relay, _COMMIT, committed, lambda: queue.submit_many([parent, child]))
    assert shown.stats()["total"] == 2 * committed

    assert queue.submit_many([parent, child]) == [parent.id, child.id]
    assert shown.stats()["total"] == 2
    assert shown.cancel(parent.id)
    assert shown.get_status(child.id)["status"] == "failed"


def test_a_cancel_may_be_repeated(
    relay: Relay, queue: JobQueue, shown: JobQueue, committed: bool
) -> None:
    job_id = shown.submit(Job("job", fail, {"name": "a"}))
    lost(relay, _COMMIT, committed, lambda: queue.cancel(job_id))

    assert queue.cancel(job_id) is not committed
    assert shown.get_status(job_id)["status"] == "cancelled"


def test_a_requeue_may_be_repeated(
    relay: Relay, queue: JobQueue, shown: JobQueue, committed: bool
) -> None:
    job_id = shown.submit(Job("job", fail, {"name": "a"}))
    shown.cancel(job_id)
    lost(relay, _COMMIT, committed, lambda: queue.requeue_job(job_id))

    assert queue.requeue_job(job_id) is not committed
    assert shown.get_status(job_id)["status"] == "pending"


def test_a_reschedule_may_be_repeated(
    relay: Relay, queue: JobQueue, shown: JobQueue, committed: bool
) -> None:
    job_id = shown.submit(Job("job", fail, {"name": "a"}))
    lost(relay, _COMMIT, committed, lambda: queue.reschedule(job_id, delay="1h"))

    assert queue.reschedule(job_id, delay="2h")
    assert shown.get_status(job_id)["retry_after"] is not None


def test_a_prune_may_be_repeated(
    relay: Relay, queue: JobQueue, shown: JobQueue, committed: bool
) -> None:
    for number in range(3):
        shown.cancel(shown.submit(Job("job", fail, {"name": str(number)})))
    lost(relay, _COMMIT, committed, lambda: queue.prune(older_than=0))

    assert queue.prune(older_than=0)["cancelled"] == (0 if committed else 3)
    assert shown.stats()["total"] == 0


def test_a_rescue_may_be_repeated(
    relay: Relay, direct: str, shown: JobQueue, address: str, committed: bool
) -> None:
    job_id = shown.submit(Job("job", fail, {"name": "a"}, timeout=1))
    other = Worker(direct, "other")
    other._claim_job()
    other.close()
    with shown._database.transaction(durable=True) as session:
        session.connection.execute(
            "UPDATE job_executions SET started_at = '2020' || substr(started_at, 5)"
        )
    queue = JobQueue(address, initialize=False)
    lost(relay, _COMMIT, committed, lambda: take_back(queue._database, queue._backend))

    take_back(queue._database, queue._backend)
    status = shown.get_status(job_id)
    assert (status["status"], status["attempts"]) == ("pending", 1)
    assert [one["status"] for one in status["executions"]] == ["timeout"]
    queue.close()


def test_a_claim_that_the_worker_does_not_know_is_released_and_made_again(
    relay: Relay, worker: Worker, shown: JobQueue, committed: bool
) -> None:
    (job,) = jobs = jobs_named(f"lost-claim-{new_id()}", 1)
    job.max_attempts = 1
    shown.submit_many(jobs)
    lost(relay, _COMMIT, committed, worker.process_one)
    assert shown.get_status(job.id)["status"] == ("running" if committed else "pending")

    assert worker.process_one()
    assert not worker.process_one()
    assert runs([job.name])[job.name] == 1
    assert len(shown.get_status(job.id)["executions"]) == 1


def test_claims_of_several_jobs_are_all_released(
    relay: Relay, worker: Worker, shown: JobQueue, committed: bool
) -> None:
    worker.most_at_once = 20
    first, later = jobs_named(f"warm-{new_id()}", 60), jobs_named(f"batch-{new_id()}", 20)
    shown.submit_many(first)
    worker.work_off(lambda: True)
    shown.submit_many(later)
    relay.cut_at(_COMMIT, forwards=committed, skip=3)
    with pytest.raises(StoreUnavailable):
        worker.work_off(lambda: True)

    worker.work_off(lambda: True)
    assert shown.stats()["completed"] == 80
    assert set(runs([job.name for job in later]).values()) == {1}


def test_a_claim_that_is_still_being_committed_is_found(
    worker: Worker, shown: JobQueue, direct: str
) -> None:
    """The server goes on with a commit, which may take long, after it has lost its client."""
    (job,) = jobs_named(f"slow-{new_id()}", 1)
    shown.submit(job)
    exchanges, claimant = Exchanges(), worker._runner.claimant
    found: list[object] = []
    again = threading.Thread(
        target=lambda: found.append(exchanges.claim(worker._store.database, claimant))
    )
    with shown._database.transaction(durable=True):
        row = exchanges.claim(shown._database, claimant)  # a part of this transaction
        assert row is not None
        exchanges._claimed = row["execution_id"]
        again.start()
        wait_until(lambda: _one_waits(direct))
    again.join()

    assert found[0] is not None
    assert len(shown.get_status(job.id)["executions"]) == 1


def _one_waits(address: str) -> bool:
    with psycopg.connect(address) as connection:
        waiting = "SELECT 1 FROM pg_locks WHERE NOT granted AND locktype = 'transactionid'"
        return connection.execute(waiting).fetchone() is not None


@pytest.mark.parametrize("function", ["count", "fail"])
def test_an_outcome_is_recorded_once(
    relay: Relay,
    worker: Worker,
    shown: JobQueue,
    committed: bool,
    function: str,
    superseded: list[str],
) -> None:
    job = Job("a", fail, {"name": "a"}, max_attempts=1)
    if function == "count":
        (job,) = jobs_named(f"lost-outcome-{new_id()}", 1)
    shown.submit(job)
    relay.cut_at(_COMMIT, forwards=committed, skip=1)
    with pytest.raises(StoreUnavailable):
        worker.process_one()
    ended = "completed" if function == "count" else "failed"
    assert shown.get_status(job.id)["status"] == (ended if committed else "running")

    assert not worker.process_one()
    status = shown.get_status(job.id)
    assert [one["status"] for one in status["executions"]] == [ended]
    assert superseded.count(f"job.{ended}") == 1


def test_an_outcome_is_recorded_once_although_claims_come_between(
    relay: Relay, worker: Worker, shown: JobQueue, superseded: list[str]
) -> None:
    (job,) = jobs_named(f"claims-between-{new_id()}", 1)
    shown.submit(job)
    relay.cut_at(_COMMIT, forwards=True, skip=1)
    with pytest.raises(StoreUnavailable):
        worker.process_one()
    relay.cut_at("BEGIN", forwards=False)
    with pytest.raises(StoreUnavailable):
        worker._claim_job()

    assert worker._claim_job() is None
    assert not worker.process_one()
    assert superseded.count("job.completed") == 1


def test_a_session_that_the_server_has_ended_is_not_used_although_its_connection_is_open(
    relay: Relay, direct: str, queue: JobQueue
) -> None:
    connection = queue._get_connection()
    relay.keeps_open = True
    with psycopg.connect(direct) as administrator:
        administrator.execute("SELECT pg_terminate_backend(%s)", (connection.info.backend_pid,))
    assert wait_readable([connection.fileno()], 60)

    queue.submit(Job("job", fail, {"name": "a"}))
    assert queue.stats()["pending"] == 1


def test_a_release_may_be_repeated(
    relay: Relay, worker: Worker, shown: JobQueue, committed: bool
) -> None:
    job_id = shown.submit(Job("job", fail, {"name": "a"}))
    exchanges, db, claimant = Exchanges(), worker._store.database, worker._runner.claimant
    row = exchanges.claim(db, claimant)
    assert row is not None
    batch = SettleBatch(released=(Claim.from_row(row),))
    lost(relay, _COMMIT, committed, lambda: exchanges.exchange(db, batch))

    (again,) = exchanges.exchange(db, batch).settled
    assert (again is None) is committed
    assert shown.get_status(job_id)["attempts"] == 0


def test_a_claim_of_a_worker_with_its_own_sql_is_released(
    relay: Relay, address: str, shown: JobQueue
) -> None:
    class Claiming(Worker):
        def _claim_job(self) -> dict[str, Any] | None:
            cursor = connections.open_connection(address).cursor(row_factory=dict_row)
            return cursor.execute(_CLAIM).fetchone()

    worker = Claiming(address)
    assert not worker.process_one()
    assert worker._store.run  # it has a lease
    (job,) = jobs_named(f"own-claim-{new_id()}", 1)
    job.max_attempts = 1
    shown.submit(job)
    lost(relay, _COMMIT, True, worker.process_one)

    assert worker.process_one()
    assert runs([job.name])[job.name] == 1
    assert shown.get_status(job.id)["status"] == "completed"
    worker.close()
