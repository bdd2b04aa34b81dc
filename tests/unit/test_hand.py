"""What a worker's thread holds, from a claim to being told what settling it did."""

from __future__ import annotations

from support.claims import claim

from gigq.claim import Handover, Over, Settled
from gigq.hand import Hand
from gigq.outcome import Ending
from gigq.status import JobStatus

COMPLETED = Ending(JobStatus.COMPLETED)
FAILED = Ending(JobStatus.FAILED, error="no")
A, B, C, D = (claim(job_id=f"j{n}", execution_id=f"e{n}") for n in range(4))


def settled(one, status=JobStatus.COMPLETED):
    return Settled(one.job_id, one.execution_id, status, 1, 3)


def holding(*claims, at=100.0):
    hand = Hand()
    hand.take(claims, at)
    return hand


def test_an_empty_hand_has_nothing_to_let_go_of():
    hand = Hand()

    assert len(hand) == 0
    assert not hand.let_go()
    assert not hand.endings
    assert hand.next() is None
    assert hand.peek(0.0) is None
    assert not hand.is_overdue(1e9)
    assert hand.news() == []


def test_claims_are_run_in_the_order_in_which_they_were_taken():
    hand = holding(A, B, C)

    assert [hand.next(), hand.next(), hand.next(), hand.next()] == [A, B, C, None]


def test_the_claim_that_runs_is_not_held_besides_itself():
    hand = holding(A, B, C)
    hand.next()

    assert len(hand) == 2
    assert hand.let_go() == Handover((), (B, C))


def test_what_is_over_is_let_go_of_first_and_then_what_has_not_begun():
    hand = holding(A, B, C)
    hand.end(hand.next(), COMPLETED, 100.001)
    hand.end(hand.next(), FAILED, 100.002)

    assert len(hand) == 3
    assert hand.let_go() == Handover((Over(A, COMPLETED), Over(B, FAILED)), (C,))
    assert hand.endings == Handover((Over(A, COMPLETED), Over(B, FAILED)), ())


def test_a_claim_that_has_waited_for_long_is_not_begun_but_handed_back():
    hand = holding(A, B, at=100.0)

    assert hand.peek(100.05) == A
    assert hand.peek(100.11) is None
    assert hand.let_go() == Handover((), (A, B))


def test_an_outcome_is_held_back_for_a_few_milliseconds_from_the_first_one():
    hand = holding(A, B)
    hand.end(hand.next(), COMPLETED, 100.001)
    hand.end(hand.next(), COMPLETED, 100.006)

    assert not hand.is_overdue(100.0065)
    assert hand.is_overdue(100.0071)


def test_the_time_counts_anew_once_everything_is_settled():
    hand = holding(A, B)
    hand.end(hand.next(), COMPLETED, 100.0)
    hand.settled(hand.endings, [settled(A)])
    hand.end(hand.next(), COMPLETED, 200.0)

    assert not hand.is_overdue(200.001)


def test_settled_endings_are_held_no_longer_and_what_has_not_begun_still_is():
    hand = holding(A, B, C)
    hand.end(hand.next(), COMPLETED, 100.0)
    hand.settled(hand.endings, [settled(A)])

    assert hand.let_go() == Handover((), (B, C))
    assert hand.next() == B


def test_everything_that_was_let_go_of_is_told_once_in_order():
    hand = holding(A, B, C)
    hand.end(hand.next(), COMPLETED, 100.0)
    hand.end(hand.next(), FAILED, 100.0)
    back = settled(C, JobStatus.PENDING)
    hand.settled(hand.let_go(), [settled(A), None, back])

    assert hand.news() == [
        (A, settled(A), Over(A, COMPLETED)),
        (B, None, Over(B, FAILED)),
        (C, back, None),
    ]
    assert hand.news() == []
    assert len(hand) == 0


def test_what_is_settled_while_another_job_runs_leaves_that_one_alone():
    hand = holding(A, B, C, D)
    hand.end(hand.next(), COMPLETED, 100.0)
    running = hand.next()
    hand.settled(hand.let_go(), [settled(A), settled(C), settled(D)])
    hand.end(running, COMPLETED, 101.0)

    assert hand.let_go() == Handover((Over(B, COMPLETED),))
    assert [told[0] for told in hand.news()] == [A, C, D]


def test_what_became_over_after_the_handover_was_made_stays():
    hand = holding(A, B)
    hand.end(hand.next(), COMPLETED, 100.0)
    first = hand.endings
    hand.end(hand.next(), COMPLETED, 100.0)
    hand.settled(first, [settled(A)])

    assert hand.endings == Handover((Over(B, COMPLETED),))


def test_an_ending_is_found_and_changed_by_its_execution():
    hand = holding(A, B)
    hand.end(hand.next(), FAILED, 100.0)
    hand.end(hand.next(), FAILED, 100.0)
    hand.change("e1", COMPLETED)

    assert (hand.ending_of("e0"), hand.ending_of("e1")) == (FAILED, COMPLETED)
    assert hand.ending_of("e2") is None
    assert [over.claim for over in hand.endings.over] == [A, B]


def test_what_is_taken_later_comes_after_what_is_held():
    hand = holding(A)
    hand.take([B], 200.0)

    assert (hand.next(), hand.next()) == (A, B)


def test_what_was_to_be_handed_back_is_not_begun_even_if_that_failed():
    hand = holding(A, B, at=100.0)
    before = hand.peek(100.0)
    hand.let_go()

    assert before == A
    assert hand.peek(100.0) is None
    assert hand.let_go() == Handover((), (A, B))


def test_claims_that_are_taken_after_all_was_let_go_of_are_begun():
    hand = holding(A, at=100.0)
    handover = hand.let_go()
    hand.settled(handover, [settled(A, JobStatus.PENDING)])
    hand.take([B, C], 100.0)

    assert hand.peek(100.0) == B


def test_settling_only_what_is_over_leaves_the_others_to_be_begun():
    hand = holding(A, B, at=100.0)
    hand.end(hand.next(), COMPLETED, 100.0)
    hand.settled(hand.endings, [settled(A)])

    assert hand.peek(100.0) == B
