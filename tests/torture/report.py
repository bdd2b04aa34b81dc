"""The figures of a run, as it prints them."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torture.history import Execution, History, Story
    from torture.run import Course


def figures(run: Course) -> list[str]:
    """Everything that was counted, one line for each subject."""
    history = run.history
    stories = history.stories()
    counts = Counter(line.what for line in history.lines)
    return [
        one_line("submits", _submits(counts)),
        one_line("jobs", Counter(row.status for row in history.jobs)),
        one_line("executions", _executions(history)),
        one_line("re-runs after", _causes(stories)),
        one_line("kinds", Counter(str(story.spec.get("kind")) for story in stories.values())),
        one_line("faults", run.notes.counts),
        one_line("worst", {what: f"{seconds:.3f} s" for what, seconds in _worst(run).items()}),
        *_remarks(run),
    ]


def _submits(counts: Counter[str]) -> dict[str, int]:
    """Intents and what became of them, job by job: a batch counts as its jobs."""
    unanswered = counts["intent"] - counts["accepted"] - counts["refused"]
    return {
        "begun": counts["intent"],
        "accepted": counts["accepted"],
        "refused": counts["refused"],
        "killed within": unanswered,
        "cancels": counts["answer"],
    }


def _executions(history: History) -> dict[str, int]:
    endings = Counter(_ending(e) for e in history.executions)
    return {"total": len(history.executions), **dict(endings.most_common())}


def _causes(stories: dict[str, Story]) -> Counter[str]:
    """For each execution that was not a job's first: how the one before it had ended."""
    return Counter(_ending(e) for story in stories.values() for e in story.executions[:-1])


def _ending(execution: Execution) -> str:
    return execution.cause or execution.status


def _worst(run: Course) -> dict[str, float]:
    late = sorted(e.late for e in run.history.executions if e.late is not None)
    freezes = _freezes(run.history)
    alone = sorted(
        e.late for e in run.history.executions if e.late is not None and not _overlap(e, freezes)
    )
    return {
        f"a kill's lateness, of {len(late)}": max(late, default=0.0),
        f"without those with a frozen supervisor, of {len(alone)}": max(alone, default=0.0),
        "99 % of these at most": alone[int(len(alone) * 0.99)] if alone else 0.0,
        "a submit": _longest_submit(run.history),
        **run.notes.worst,
    }


def _freezes(history: History) -> list[tuple[float, float]]:
    """From when to when a supervisor was frozen."""
    return [
        (line.wall, line.wall + line.data["seconds"])
        for line in history.lines
        if line.what == "fault" and line.data["name"] == "SIGSTOP supervisor"
    ]


def _overlap(execution: Execution, spans: list[tuple[float, float]]) -> bool:
    end = execution.completed_at or float("inf")
    return any(execution.started_at <= until and since <= end for since, until in spans)


def _longest_submit(history: History) -> float:
    begun: dict[str | None, float] = {}
    longest = 0.0
    for line in history.lines:
        if line.what == "intent":
            begun[line.job] = line.at
        elif line.what in ("accepted", "refused") and line.job in begun:
            longest = max(longest, line.at - begun.pop(line.job))
    return longest


def _remarks(run: Course) -> list[str]:
    remarks = []
    if run.torn:
        remarks.append(f"{run.torn} ledger lines were cut off by a kill and left out")
    if run.unplayed:
        remarks.append(f"{run.unplayed} faults of the plan found no time to be made")
    remarks.extend(run.database.remarks)
    if run.database.looks and not run.has_other_accounts:
        remarks.append("no looks by another account: that needs root, and a Python it may run")
    return remarks


def one_line(subject: str, numbers: Counter[str] | dict[str, int] | dict[str, str]) -> str:
    """One subject and its numbers."""
    return f"{subject + ':':<15} " + ", ".join(f"{name} {n}" for name, n in numbers.items())
