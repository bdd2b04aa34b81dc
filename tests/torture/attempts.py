"""Checks of what ran: never twice at once, never after its end, and nothing of it lives on."""

from __future__ import annotations

from bisect import bisect_right
from collections import defaultdict
from itertools import pairwise
from typing import TYPE_CHECKING

from torture.children import ORPHANS
from torture.violations import CLOCK, Violation, of_job

if TYPE_CHECKING:
    from collections.abc import Iterator

    from torture.history import History, Story
    from torture.ledger import Line

_ORPHANS_FOUND_WITHIN = 6.0
"""Seconds from a job's start until its worker takes no further job because of its orphans: the job
itself lasts one at most, and a supervisor may be frozen for three."""


def started_twice(story: Story) -> Iterator[Violation]:
    """One execution is one call of the function."""
    for execution, first in story.starts.items():
        again = [s for s in story.of("start") if s.execution == execution and s is not first]
        if again:
            text = f"execution {execution} called the function more than once"
            yield of_job("doubled", story, text, first, *again)


def ran_after_success(story: Story) -> Iterator[Violation]:
    """At most one execution completes a job, and none begins after that."""
    successes = [e for e in story.executions if e.status == "completed"]
    if len(successes) > 1:
        yield of_job("doubled", story, f"{len(successes)} executions are completed")
    for success in successes:
        for other in story.executions:
            if other is not success and other.started_at > (success.completed_at or 0.0):
                text = f"execution {other.id} began after {success.id} was recorded as completed"
                yield of_job("doubled", story, text, *story.start_of(other.id))


def changed_after_its_end(story: Story) -> Iterator[Violation]:
    """An end that was observed stays as it is."""
    for seen in story.of("seen"):
        status = seen.data["status"]
        if story.row is not None and story.row.status != status:
            text = f"it was seen {status}, and is {story.row.status} now"
            yield of_job("doubled", story, text, seen)
        later = [start for start in story.starts.values() if start.at > seen.at]
        if later:
            text = f"it was seen {status}, and was started after that"
            yield of_job("doubled", story, text, seen, *later)


def overlapping(story: Story) -> Iterator[Violation]:
    """An execution lives from its start to its last line; the next one begins after that."""
    alive: Line | None = None
    for execution, start in story.starts.items():
        if alive is not None and start.at < alive.at:
            text = f"{alive.execution} was still running when {execution} began"
            yield of_job("overlapping", story, text, start, alive)
        last = story.last_sign(execution)
        if last is not None and (alive is None or last.at > alive.at):
            alive = last
    for one, following in pairwise(story.executions):
        if one.completed_at is None or following.started_at < one.completed_at:
            text = f"{following.id} was claimed before {one.id} was settled"
            yield of_job("overlapping", story, text, *story.start_of(following.id))


def survivors(story: Story) -> Iterator[Violation]:
    """Every process that belongs to an execution without success is dead before that is settled."""
    for execution in story.executions:
        if execution.status == "completed":
            continue
        signs = [*story.lines_of(execution.id), *story.children_of(execution.id)]
        over = (execution.completed_at or float("inf")) + CLOCK
        if late := [line for line in signs if line.wall > over]:
            text = f"execution {execution.id} was settled, and something of it still wrote"
            yield of_job("survivor", story, text, *late)
    for (execution_id, _), (_, following) in pairwise(story.starts.items()):
        late = [c for c in story.children_of(execution_id) if c.at > following.at]
        if late:
            text = f"a child of execution {execution_id} still wrote in the next one"
            yield of_job("survivor", story, text, following, *late)


def left_behind(history: History) -> Iterator[Violation]:
    """What a job has left running does not meet the next job of its worker.

    Orphans are found by the supervisor, a little later: they may meet jobs that begin soon.
    """
    starts = _starts_of_workers(history)
    origins = {line.execution: line for lines in starts.values() for line in lines}
    reported = set()
    for line in history.lines:
        if line.what != "child" or line.execution not in origins or line.execution in reported:
            continue
        origin = origins[line.execution]
        patience = _ORPHANS_FOUND_WITHIN if line.data.get("way") in ORPHANS else 0.0
        met = _next_start(starts[origin.pid], origin, patience)
        if met is not None and line.at > met.at:
            reported.add(line.execution)
            text = f"a child of execution {line.execution} wrote during its worker's next job"
            yield Violation("survivor", line.job, text, (met.number, line.number))


def after_the_stop(history: History) -> Iterator[Violation]:
    """When the daemon has stopped, nothing of a job writes any more."""
    stops = [line for line in history.lines if line.what == "stopped"]
    if not stops:
        return
    late = [
        line
        for line in history.lines
        if line.at > stops[-1].at and line.what in {"start", "beat", "end", "child"}
    ]
    if late:
        text = "something of a job wrote after the daemon had stopped"
        numbers = tuple(line.number for line in (stops[-1], *late[:5]))
        yield Violation("survivor", late[0].job, text, numbers)


def _starts_of_workers(history: History) -> dict[int, list[Line]]:
    found: dict[int, list[Line]] = defaultdict(list)
    for line in history.lines:
        if line.what == "start":
            found[line.pid].append(line)
    return found


def _next_start(starts: list[Line], origin: Line, patience: float) -> Line | None:
    """The first job that a worker began after another one, and after some time on top of that."""
    after = bisect_right(starts, origin.at + patience, key=lambda line: line.at)
    return starts[after] if after < len(starts) else None
