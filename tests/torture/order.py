"""Checks of when a job began: not before its parents had ended, and not before its time."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING

from torture.history import WITHOUT_SUCCESS
from torture.violations import CLOCK, of_job

if TYPE_CHECKING:
    from collections.abc import Iterator

    from torture.history import Execution, Story
    from torture.violations import Violation


def before_its_time(story: Story) -> Iterator[Violation]:
    """A delayed job does not begin before the time that its submitter gave."""
    not_before = story.spec.get("not_before") or 0.0
    early = [start for start in story.starts.values() if start.wall < not_before - CLOCK]
    if early:
        text = f"it began {not_before - early[0].wall:.3f} s before its time"
        yield of_job("early", story, text, *early)


def outside_its_expiry(story: Story) -> Iterator[Violation]:
    """A job is not claimed after it has expired, and does not expire before its time.

    One that a stop has interrupted does not expire any more.
    """
    lasts = story.spec.get("options", {}).get("expires_in")
    accepted = next(iter(story.of("accepted")), None)
    if lasts is None or story.row is None or accepted is None:
        return
    expired = accepted.wall + lasts
    for number, one in enumerate(story.executions):
        had_started = any(earlier.cause == "stopped" for earlier in story.executions[:number])
        if one.started_at > expired + CLOCK and not had_started:
            text = f"{one.id} began {one.started_at - expired:.3f} s after it had expired"
            yield of_job("late", story, text, *story.start_of(one.id))
    would_begin = (story.row.completed_at or 0.0) + _put_off_at_the_end(story)
    if story.row.cause == "expired" and would_begin < story.of("intent")[0].wall + lasts - CLOCK:
        yield of_job("early", story, "it expired before its time")


def _put_off_at_the_end(story: Story) -> float:
    """The delay of a job that put itself off beyond its expiry, and ended at once for that."""
    if story.executions and story.executions[-1].cause == "expired":
        return float(story.spec.get("params", {}).get("delay", 0.0))
    return 0.0


def before_its_delay(story: Story) -> Iterator[Violation]:
    """The delay for the cause of its end lies between an attempt and the next one."""
    for one, following in pairwise(story.executions):
        delay = _delay_after(story, one)
        due = (one.completed_at or 0.0) + delay
        if delay and following.started_at < due - CLOCK:
            ahead = due - following.started_at
            text = f"{following.id} began {ahead:.3f} s before the delay was over"
            yield of_job("early", story, text, *story.start_of(following.id))


def _delay_after(story: Story, one: Execution) -> float:
    """The least delay after an attempt; 0 after one that is tried again at once."""
    if one.cause in ("stopped", "lost") or story.row is None:
        return 0.0
    params, options = story.spec.get("params", {}), story.spec.get("options", {})
    if one.cause == "snoozed" or (one.cause == "error" and params.get("how") == "later"):
        return float(params.get("delay", 0.0))
    delay = min(options.get("retry") or [story.row.retry_delay])
    return max(delay, 1.0) if one.cause == "crashed" else float(delay)


def before_parents(story: Story, stories: dict[str, Story]) -> Iterator[Violation]:
    """A dependent begins after its parents have ended: with success, or as its policy says."""
    if story.row is None or not (story.executions or story.starts):
        return
    for parent in (stories[id_] for id_ in story.row.dependencies if id_ in stories):
        yield from _before(story, parent)


def _before(story: Story, parent: Story) -> Iterator[Violation]:
    assert story.row is not None
    first = next(iter(story.starts.values()), None)
    shown = (first,) if first else ()
    enough = {"completed"}
    if story.row.on_parent_failure == "run":
        enough |= WITHOUT_SUCCESS
    if parent.row is None or parent.row.status not in enough:
        status = parent.row.status if parent.row else "missing"
        yield of_job("early", story, f"it began, and its parent {parent.id} is {status}", *shown)
        return
    claimed = min((e.started_at for e in story.executions), default=float("inf"))
    if claimed < (parent.row.completed_at or 0.0):
        text = f"it was claimed before its parent {parent.id} had ended"
        yield of_job("early", story, text, *shown)
    ended = parent.last_sign(parent.row.execution_id or "")
    if first and ended and first.at < ended.at:
        text = f"it began while its parent {parent.id} was running"
        yield of_job("early", story, text, first, ended)
