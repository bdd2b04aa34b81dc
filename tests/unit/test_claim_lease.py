"""The lease under which a worker of the daemon claims: what it starts, and what it notes."""

from __future__ import annotations

from typing import Any

import pytest

from gigq.execution.callbacks import Callbacks
from gigq.model.lease import boot_time
from gigqd.ipc.scoreboard import Cell, Scoreboard
from gigqd.worker.claim_lease import guarded

CLAIM: Any = object()


@pytest.fixture
def cell() -> Cell:
    found = Scoreboard(1).take()
    found.write_lease(3, boot_time() + 600)
    return found


def test_what_was_claimed_under_a_lease_starts_while_it_goes_on(cell: Cell) -> None:
    callbacks = guarded(Callbacks(), cell)

    assert callbacks.may_claim()
    assert callbacks.may_start(CLAIM)
    assert cell.claim_lease == 3


def test_nothing_starts_whose_lease_is_over(cell: Cell) -> None:
    callbacks = guarded(Callbacks(), cell)
    callbacks.may_claim()
    cell.write_lease(3, boot_time() - 1)

    assert not callbacks.may_start(CLAIM)


def test_nothing_starts_that_was_claimed_under_an_earlier_lease(cell: Cell) -> None:
    callbacks = guarded(Callbacks(), cell)
    callbacks.may_claim()
    cell.write_lease(4, boot_time() + 600)

    assert not callbacks.may_start(CLAIM)
    assert callbacks.may_claim()
    assert callbacks.may_start(CLAIM)


def test_nothing_starts_before_the_first_lease() -> None:
    callbacks = guarded(Callbacks(), Scoreboard(1).take())

    assert callbacks.may_claim()
    assert not callbacks.may_start(CLAIM)


@pytest.mark.parametrize("name", ["may_claim", "may_start"])
def test_the_given_callbacks_may_refuse(cell: Cell, name: str) -> None:
    callbacks = guarded(Callbacks()._replace(**{name: lambda *_given: False}), cell)

    assert callbacks.may_claim() is (name != "may_claim")
    assert callbacks.may_start(CLAIM) is (name != "may_start")


def test_workers_beside_each_other_note_leases_of_their_own() -> None:
    board = Scoreboard(2)
    first, second = board.take(), board.take()
    first.write_claim_lease(7)

    assert (first.claim_lease, second.claim_lease) == (7, 0)
    assert first.may_claim
    board.release(first)
    assert board.take().claim_lease == 0
