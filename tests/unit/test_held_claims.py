"""The claims that a worker thread holds, from the claim until their settling is reported."""

from __future__ import annotations

from support.claims import claim

from gigq.execution.held_claims import HeldClaims
from gigq.model.claim import Finished, SettleBatch, Settled
from gigq.model.execution_result import ExecutionResult
from gigq.model.job_status import JobStatus

COMPLETED = ExecutionResult(JobStatus.COMPLETED)
FAILED = ExecutionResult(JobStatus.FAILED, error="no")
A, B, C, D = (claim(job_id=f"j{n}", execution_id=f"e{n}") for n in range(4))


def settled(one, status=JobStatus.COMPLETED):
    return Settled(one.job_id, one.execution_id, status, 1, 3)


def holding(*claims, at=100.0):
    held = HeldClaims()
    held.add(claims, at)
    return held


def test_without_claims_there_is_nothing_to_settle():
    held = HeldClaims()

    assert len(held) == 0
    assert not held.release()
    assert not held.finished
    assert held.next() is None
    assert held.first(0.0) is None
    assert not held.is_overdue(1e9, 0.0)
    assert held.take_settled() == []


def test_claims_are_run_in_the_order_in_which_they_were_taken():
    held = holding(A, B, C)

    assert [held.next(), held.next(), held.next(), held.next()] == [A, B, C, None]


def test_the_claim_that_runs_is_not_held_besides_itself():
    held = holding(A, B, C)
    held.next()

    assert len(held) == 2
    assert held.release() == SettleBatch((), (B, C))


def test_what_is_over_is_let_go_of_first_and_then_what_has_not_begun():
    held = holding(A, B, C)
    held.finish(held.next(), COMPLETED, 100.001)
    held.finish(held.next(), FAILED, 100.002)

    assert len(held) == 3
    assert held.release() == SettleBatch((Finished(A, COMPLETED), Finished(B, FAILED)), (C,))
    assert held.finished == SettleBatch((Finished(A, COMPLETED), Finished(B, FAILED)), ())


def test_a_claim_that_has_waited_for_long_is_not_begun_but_handed_back():
    held = holding(A, B, at=100.0)

    assert held.first(100.05) == A
    assert held.first(100.11) is None
    assert held.release() == SettleBatch((), (A, B))


def test_an_outcome_is_held_back_for_a_few_milliseconds_from_the_first_one():
    held = holding(A, B)
    held.finish(held.next(), COMPLETED, 100.001)
    held.finish(held.next(), COMPLETED, 100.006)

    assert not held.is_overdue(100.0065, 0.001)
    assert held.is_overdue(100.0071, 0.001)


def test_where_exchanges_take_long_an_outcome_waits_for_two_of_them_within_limits():
    held = holding(A)
    held.finish(held.next(), COMPLETED, 100.0)

    assert not held.is_overdue(100.039, exchange=0.02)
    assert held.is_overdue(100.041, exchange=0.02)
    assert held.is_overdue(100.051, exchange=5.0)


def test_the_time_counts_anew_once_everything_is_settled():
    held = holding(A, B)
    held.finish(held.next(), COMPLETED, 100.0)
    held.note_settled(held.finished, [settled(A)])
    held.finish(held.next(), COMPLETED, 200.0)

    assert not held.is_overdue(200.001, 0.001)


def test_settled_endings_are_held_no_longer_and_what_has_not_begun_still_is():
    held = holding(A, B, C)
    held.finish(held.next(), COMPLETED, 100.0)
    held.note_settled(held.finished, [settled(A)])

    assert held.release() == SettleBatch((), (B, C))
    assert held.next() == B


def test_everything_that_was_released_is_reported_once_in_order():
    held = holding(A, B, C)
    held.finish(held.next(), COMPLETED, 100.0)
    held.finish(held.next(), FAILED, 100.0)
    back = settled(C, JobStatus.PENDING)
    held.note_settled(held.release(), [settled(A), None, back])

    assert held.take_settled() == [
        (A, settled(A), Finished(A, COMPLETED)),
        (B, None, Finished(B, FAILED)),
        (C, back, None),
    ]
    assert held.take_settled() == []
    assert len(held) == 0


def test_what_is_settled_while_another_job_runs_leaves_that_one_alone():
    held = holding(A, B, C, D)
    held.finish(held.next(), COMPLETED, 100.0)
    running = held.next()
    held.note_settled(held.release(), [settled(A), settled(C), settled(D)])
    held.finish(running, COMPLETED, 101.0)

    assert held.release() == SettleBatch((Finished(B, COMPLETED),))
    assert [settled[0] for settled in held.take_settled()] == [A, C, D]


def test_what_became_over_after_the_handover_was_made_stays():
    held = holding(A, B)
    held.finish(held.next(), COMPLETED, 100.0)
    first = held.finished
    held.finish(held.next(), COMPLETED, 100.0)
    held.note_settled(first, [settled(A)])

    assert held.finished == SettleBatch((Finished(B, COMPLETED),))


def test_an_ending_is_found_and_changed_by_its_execution():
    held = holding(A, B)
    held.finish(held.next(), FAILED, 100.0)
    held.finish(held.next(), FAILED, 100.0)
    held.change("e1", COMPLETED)

    assert (held.result_of("e0"), held.result_of("e1")) == (FAILED, COMPLETED)
    assert held.result_of("e2") is None
    assert [one.claim for one in held.finished.finished] == [A, B]


def test_what_is_taken_later_comes_after_what_is_held():
    held = holding(A)
    held.add([B], 200.0)

    assert (held.next(), held.next()) == (A, B)


def test_what_was_to_be_handed_back_is_not_begun_even_if_that_failed():
    held = holding(A, B, at=100.0)
    before = held.first(100.0)
    held.release()

    assert before == A
    assert held.first(100.0) is None
    assert held.release() == SettleBatch((), (A, B))


def test_claims_that_are_taken_after_a_release_are_started():
    held = holding(A, at=100.0)
    batch = held.release()
    held.note_settled(batch, [settled(A, JobStatus.PENDING)])
    held.add([B, C], 100.0)

    assert held.first(100.0) == B


def test_settling_only_what_is_over_leaves_the_others_to_be_begun():
    held = holding(A, B, at=100.0)
    held.finish(held.next(), COMPLETED, 100.0)
    held.note_settled(held.finished, [settled(A)])

    assert held.first(100.0) == B
