"""What a worker learns of an outcome that it records a second time."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from support.ledger import COMPLETED, FAILED, FAILED_FOR_GOOD, STOPPED, TIMED_OUT, stored, taken
from support.set_clock import time

from gigq.errors import StoreUnavailable
from gigq.execution.exchanges import patiently
from gigq.model.claim import Claim, Finished
from gigq.model.job_status import JobStatus
from gigq.store.verbs import settle_and_claim, unconfirmed

__all__ = ["time"]

if TYPE_CHECKING:
    from gigq.model.execution_result import ExecutionResult
    from gigq.store.database import Database

OTHER = FAILED._replace(error="KeyError: 'other'")


def finished(db: Database, result: ExecutionResult) -> Finished:
    """A claim whose function has ended."""
    return Finished(Claim.from_row(taken(db)), result)


@pytest.mark.parametrize("result", [COMPLETED, FAILED, FAILED_FOR_GOOD, TIMED_OUT, STOPPED])
@pytest.mark.parametrize("columns", [{}, {"retry_delay": 60}, {"max_attempts": 1}])
def test_an_outcome_that_is_recorded_has_the_effects_of_the_first_time(
    db: Database, result: ExecutionResult, columns: dict[str, int]
) -> None:
    stored(db, queue="mail", **columns)
    one = finished(db, result)
    first = settle_and_claim.settle(db, one.claim.execution_id, result)

    assert first is not None
    assert unconfirmed.recorded(db, one) == first


def test_a_job_that_another_attempt_runs_was_pending_in_between(db: Database) -> None:
    stored(db, queue="mail")
    one = finished(db, FAILED)
    settle_and_claim.settle(db, one.claim.execution_id, FAILED)
    taken(db)
    found = unconfirmed.recorded(db, one)

    assert found is not None
    assert (found.job_status, found.due_in) == (JobStatus.PENDING, ("mail",))


@pytest.mark.parametrize(
    ("recorded", "own"), [(FAILED, COMPLETED), (COMPLETED, FAILED), (OTHER, FAILED)]
)
def test_the_outcome_of_another_process_is_not_its_own(
    db: Database, recorded: ExecutionResult, own: ExecutionResult
) -> None:
    stored(db)
    one = finished(db, own)
    settle_and_claim.settle(db, one.claim.execution_id, recorded)

    assert unconfirmed.recorded(db, one) is None


def test_an_execution_that_runs_or_is_missing_has_no_outcome(db: Database) -> None:
    stored(db)
    one = finished(db, FAILED)

    assert unconfirmed.recorded(db, one) is None
    missing = one._replace(claim=one.claim._replace(execution_id="missing"))
    assert unconfirmed.recorded(db, missing) is None


def test_a_read_is_not_repeated_for_longer_than_it_may_wait() -> None:
    def fail() -> None:
        raise StoreUnavailable("no server")

    with pytest.raises(StoreUnavailable):
        patiently(fail, 0.0)
