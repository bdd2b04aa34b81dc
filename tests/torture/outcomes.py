"""Checks of what was recorded: results, numbers of attempts, cancellations, and the records."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from torture.history import FINISHED, waiting_for_ever
from torture.violations import of_job

from gigq.model.retry_policy import MAX_SNOOZES

if TYPE_CHECKING:
    from collections.abc import Iterator

    from torture.history import Execution, Story
    from torture.ledger import Line
    from torture.violations import Violation

_CRASHES = frozenset({"crashed", "memory", "oom"})
_MOST_REFUNDS = 3
_ENDED_IN_THE_FUNCTION = frozenset({None, "error", "snoozed"})


def phantom(story: Story) -> Iterator[Violation]:
    """A success was a return of the function, and the result is what it returned."""
    row = story.row
    if row is None or row.status != "completed":
        return
    returned = [
        line
        for line in story.of("end")
        if line.execution == row.execution_id and line.data.get("how") == "returned"
    ]
    if not returned:
        text = f"completed by execution {row.execution_id}, whose function never returned"
        yield of_job("phantom", story, text, *story.of("start", "end"))
    given = json.loads(row.result) if row.result else None
    if given != {"execution": row.execution_id}:
        yield of_job("phantom", story, f"its result is {given}, not that of {row.execution_id}")


def over_tried(story: Story) -> Iterator[Violation]:
    """No more starts than attempts, refunds and snoozes, no more crashes than the crash limit."""
    row = story.row
    if row is None:
        return
    allowed = row.max_attempts + row.refunds + row.snoozes
    starts, executions = len(story.starts), len(story.executions)
    if max(starts, executions) > allowed:
        text = f"{starts} starts, {executions} executions, allowed are {allowed}"
        yield of_job("over-tried", story, text, *story.starts.values())
    if row.max_attempts == 1 and starts - row.snoozes > 1:
        yield of_job("over-tried", story, "at most once, started twice", *story.starts.values())
    if row.refunds > _MOST_REFUNDS:
        yield of_job("over-tried", story, f"{row.refunds} starts were released")
    snoozes = sum(e.cause == "snoozed" for e in story.executions)
    if snoozes > story.spec.get("options", {}).get("max_snoozes", MAX_SNOOZES):
        yield of_job("over-tried", story, f"it put itself off {snoozes} times")
    crashes = sum(e.cause in _CRASHES for e in story.executions)
    if row.crash_limit is not None and crashes > row.crash_limit:
        text = f"{crashes} crashes, its crash limit is {row.crash_limit}"
        yield of_job("over-tried", story, text, *story.starts.values())


def cancelled(story: Story) -> Iterator[Violation]:
    """What cancel has said yes to does not begin any more, and ends cancelled.

    A running job may complete before it is asked to end.
    """
    for answer in story.of("answer"):
        if not answer.data["cancelled"]:
            continue
        running = answer.data["running"]
        if later := _began_after(story, answer, running=running):
            text = "cancel had said yes before it began"
            yield of_job("cancelled-but-started", story, text, answer, *later)
        allowed = {"cancelled", "completed"} if running else {"cancelled"}
        if story.row is not None and story.row.status not in allowed:
            text = f"cancel had said yes, and it is {story.row.status}"
            yield of_job("cancelled-but-started", story, text, answer)


def stuck(stories: dict[str, Story]) -> Iterator[Violation]:
    """When the faults are over, everything that can end does."""
    may_wait = waiting_for_ever(stories)
    for story in stories.values():
        row = story.row
        if row is not None and row.status not in FINISHED and row.id not in may_wait:
            text = f"it could have ended, and it is {row.status}"
            yield of_job("stuck", story, text, *story.starts.values())


def wrong_inputs(story: Story, stories: dict[str, Story]) -> Iterator[Violation]:
    """A dependent is given what its parents' successes have returned."""
    for start in story.starts.values():
        for parent, given in (start.data.get("parents") or {}).items():
            success = stories[parent].success if parent in stories else None
            if given != ({"execution": success.id} if success else None):
                text = f"it was given {given} as the result of its parent {parent}"
                yield of_job("disagreeing", story, text, start)


def disagreeing(story: Story) -> Iterator[Violation]:
    """The rows of a job agree with each other, and with what its function wrote."""
    if story.row is None:
        return
    known = {e.id for e in story.executions}
    for execution_id, start in story.starts.items():
        if execution_id not in known:
            text = f"the function ran as execution {execution_id}, which is not recorded"
            yield of_job("disagreeing", story, text, start)
    for execution in story.executions:
        yield from _incomplete(story, execution)
    counted = story.row.attempts + story.row.refunds + story.row.snoozes
    if counted != len(story.executions):
        text = f"{counted} attempts, refunds and snoozes, but {len(story.executions)} executions"
        yield of_job("disagreeing", story, text, *story.starts.values())
    yield from _ended_otherwise(story)


def _began_after(story: Story, answer: Line, *, running: bool) -> list[Line]:
    if not running:
        return [start for start in story.starts.values() if start.at > answer.at]
    # The current execution may have been claimed and not begun yet: it is the claim that counts.
    claimed = {e.id for e in story.executions if e.started_at > answer.wall}
    return [start for id_, start in story.starts.items() if id_ in claimed]


def _incomplete(story: Story, execution: Execution) -> Iterator[Violation]:
    if execution.completed_at is None:
        yield of_job("disagreeing", story, f"execution {execution.id} was never settled")
    elif execution.cause in _ENDED_IN_THE_FUNCTION and execution.id not in story.starts:
        text = f"execution {execution.id} is {execution.status}, and the function never began"
        yield of_job("disagreeing", story, text)


def _ended_otherwise(story: Story) -> Iterator[Violation]:
    row = story.row
    if row is None or row.status not in FINISHED or row.execution_id is None:
        return
    own = next((e for e in story.executions if e.id == row.execution_id), None)
    if own is None or own.status != row.status:
        status = own.status if own else "missing"
        yield of_job("disagreeing", story, f"it is {row.status}, its last execution is {status}")
    elif own is not story.executions[-1]:
        text = f"it ended with {own.id}, and {story.executions[-1].id} began later"
        yield of_job("doubled", story, text, *story.start_of(story.executions[-1].id))
