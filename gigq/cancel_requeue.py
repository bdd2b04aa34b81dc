"""Cancels and requeues jobs for `JobQueue`: the change, its events, and the queues to wake."""

from __future__ import annotations

import logging
from collections import Counter
from typing import TYPE_CHECKING, NamedTuple

from gigq import events
from gigq.execution import job_events
from gigq.model import codec
from gigq.model.job_status import JobStatus
from gigq.store.verbs import jobs, requeue
from gigq.store.verbs.batches import batches

if TYPE_CHECKING:
    from collections.abc import Iterable

    from gigq.store.database import Database
    from gigq.store.verbs.dependents import Parent

    Due = Counter[str]


class Requeued(NamedTuple):
    """The answer of `JobQueue.requeue_many`.

    Attributes:
        jobs: the ids of the jobs that are pending again.
        refused: the reason, by id, for each other job that was given, and for each dependent that
            cannot be requeued because of its parent.
    """

    jobs: tuple[str, ...]
    refused: dict[str, str]


def several(job_ids: Iterable[str]) -> Iterable[str]:
    """Return ids as they were given; refuse a single text, whose letters would count as ids.

    Raises:
        TypeError: it is one text.
    """
    if isinstance(job_ids, str):
        raise TypeError(f"job_ids takes a list of ids, not a text; write [{codec.short(job_ids)}]")
    return job_ids


def cancel_all(db: Database, job_ids: Iterable[str], *, running: bool) -> tuple[list[str], Due]:
    """Cancel jobs, many in one transaction.

    Returns:
        The ids of the changed jobs, and the number of jobs that became due in each queue.
    """
    cancelled: list[str] = []
    due: Due = Counter()
    for some in batches(several(job_ids)):
        changed = jobs.cancel(db, some, running=running)
        for job_id, one in changed.items():
            is_running = one.status is JobStatus.RUNNING
            events.emit(
                events.JOB_CANCEL_REQUESTED if is_running else events.JOB_CANCELLED, job_id=job_id
            )
            job_events.failed_by_parents(one.failed_dependents)
            due.update(one.due_in)
        cancelled += changed
    return cancelled, due


def requeue_all(
    db: Database, job_ids: Iterable[str], *, with_dependents: bool, again: requeue.Again
) -> tuple[Requeued, Due]:
    """Make jobs pending again, many in one transaction.

    Returns:
        The answer for the caller, and the number of jobs that became due in each queue.
    """
    changed = requeue.requeue(db, several(job_ids), with_dependents=with_dependents, again=again)
    for job_id in changed.jobs:
        events.emit(events.JOB_REQUEUED, job_id=job_id)
    held_back = {job_id: _held_back_by(parent) for job_id, parent in changed.refused.items()}
    held_back |= dict.fromkeys(changed.in_circle, "its parents wait for each other in a circle")
    for job_id, reason in held_back.items():
        events.emit(events.JOB_REQUEUE_REFUSED, level=logging.WARNING, job_id=job_id, reason=reason)
    others = {
        job_id: f"it is {status}" if status else "there is no such job"
        for job_id, status in changed.others.items()
    }
    return Requeued(changed.jobs, held_back | others), Counter(changed.due_in)


def _held_back_by(parent: Parent) -> str:
    return (
        f"its parent {codec.short(parent.name)} ({parent.id}) is {parent.status}; requeue that one "
        "with its dependents"
    )
