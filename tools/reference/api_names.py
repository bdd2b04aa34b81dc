"""The public names of the library, by the page that describes them."""

from __future__ import annotations

from typing import NamedTuple

from reference.source import found


class ApiPage(NamedTuple):
    """A page of the library's reference.

    Attributes:
        title: its heading.
        intro: Markdown below the heading.
        objects: the dotted paths of what it describes.
    """

    title: str
    intro: str
    objects: tuple[str, ...]


def _classes(module: str) -> tuple[str, ...]:
    members = found(module).members
    own = {name: each for name, each in members.items() if not each.is_alias}
    return tuple(f"{module}.{name}" for name, each in own.items() if each.is_class)


PAGES = {
    "jobs.md": ApiPage(
        "Jobs, tasks and workflows",
        "`from gigq import Job, JobStatus, Workflow, current_job, task`. "
        "[Running jobs](../api/running-jobs.md) explains what a job may be given, what it may "
        "return and how it is interrupted.",
        (
            "gigq.Job",
            "gigq.JobStatus",
            "gigq.decorators.task",
            "gigq.decorators.TaskWrapper",
            "gigq.Workflow",
            "gigq.current_job",
            "gigq.execution.job_context.CurrentJob",
        ),
    ),
    "queue.md": ApiPage(
        "Queues",
        "`from gigq import JobQueue, close_connections`.",
        (
            "gigq.JobQueue",
            "gigq.queue.Requeued",
            "gigq.close_connections",
        ),
    ),
    "worker.md": ApiPage(
        "Workers",
        "`from gigq import Worker`: the plain worker, which runs jobs in this process. "
        "[gigqd](gigqd.md) runs them in processes of its own.",
        ("gigq.Worker",),
    ),
    "errors.md": ApiPage(
        "Errors",
        "The module `gigq.errors`. `from gigq import` has `GigqError`, `InvalidJob`, "
        "`JobCancelled`, `JobNotFound`, `JobStopped`, `JobTimeout` and `StoreUnavailable` too. "
        "Every message names the object, the value and the remedy.",
        _classes("gigq.errors"),
    ),
    "events.md": ApiPage(
        "Events",
        "The module `gigq.events`; `from gigq import setup_logging`. "
        "[Log events](log-events.md#the-library) lists the events with their fields.",
        (
            "gigq.events.subscribe",
            "gigq.events.setup_logging",
            "gigq.events.send_to",
            "gigq.events.Route",
            "gigq.events.heard",
            "gigq.events.emit",
        ),
    ),
    "django.md": ApiPage(
        "Django",
        'The module `gigq.contrib.django`, for `hooks = "gigq.contrib.django"` in the '
        "configuration. [gigq in a Django project](../howto/django.md) shows its use.",
        (
            "gigq.contrib.django",
            "gigq.contrib.django.before_job",
            "gigq.contrib.django.after_job",
            "gigq.contrib.django.worker_stop",
            "gigq.contrib.django.OpenTransactionError",
        ),
    ),
}
