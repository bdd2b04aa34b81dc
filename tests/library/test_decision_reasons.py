"""Reasons of decisions that are no texts."""

from __future__ import annotations

from typing import Any

import pytest

from gigq import CancelJob, GiveUp, Job, RetryLater, Snooze, events
from gigq.errors import JobDecision


class Unreadable:
    """An object without a text."""

    def __str__(self) -> str:
        raise RuntimeError


class Careless(Snooze):
    """A decision whose constructor calls no other."""

    def __init__(self) -> None:
        self.delay = 60


REASONS: dict[str, tuple[Any, str]] = {
    "an exception": (ValueError("the disk is full"), "the disk is full"),
    "a number": (404, "404"),
    "an object": (Unreadable(), "<the reason cannot be shown: RuntimeError>"),
}
KINDS = {"RetryLater": RetryLater, "Snooze": Snooze, "GiveUp": GiveUp, "CancelJob": CancelJob}
STATUSES = {"GiveUp": "failed", "CancelJob": "cancelled"}


def decide(kind: str, reason: str) -> None:
    delay = (60,) if kind in ("RetryLater", "Snooze") else ()
    raise KINDS[kind](*delay, REASONS[reason][0])


def be_careless() -> None:
    raise Careless


def replace_the_reason() -> None:
    error = Snooze(60, "first")
    error.reason = Unreadable()  # type: ignore[assignment]
    raise error


def run(queue: Any, worker: Any, *job: Any) -> dict[str, Any]:
    job_id = queue.submit(Job("a", *job))
    worker.process_one()
    found: dict[str, Any] = queue.get_status(job_id)
    return found


@pytest.mark.parametrize("reason", REASONS)
@pytest.mark.parametrize("kind", KINDS)
def test_the_reason_may_be_any_object(queue: Any, worker: Any, kind: str, reason: str) -> None:
    found = run(queue, worker, decide, {"kind": kind, "reason": reason})

    assert found["status"] == STATUSES.get(kind, "pending")
    assert found["executions"][0]["error_message"] == REASONS[reason][1]


@pytest.mark.parametrize("function", [be_careless, replace_the_reason])
def test_a_decision_without_a_readable_reason_is_taken(
    queue: Any, worker: Any, function: Any
) -> None:
    found = run(queue, worker, function)

    assert (found["cause"], found["attempts"]) == ("snoozed", 0)


def test_no_reason_is_an_empty_text() -> None:
    assert [JobDecision(None).reason, JobDecision().reason] == ["", ""]
    assert str(RetryLater("10m", None)) == "in 10m"


def test_a_long_reason_is_shortened_in_the_event(queue: Any, worker: Any) -> None:
    seen: list[Any] = []
    unsubscribe = events.subscribe(
        lambda name, fields: seen.append(fields) if name == "job.snoozed" else None
    )
    try:
        run(queue, worker, snooze_at_length)
    finally:
        unsubscribe()

    assert len(seen[0]["reason"]) < 5000
    assert "characters left out" in seen[0]["reason"]


def snooze_at_length() -> None:
    raise Snooze(60, "why " * 10_000)
