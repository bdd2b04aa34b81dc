"""The public names of the library, by the page that describes them."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

from reference.source import found

_INTROS = Path(__file__).with_name("intros")


class ApiPage(NamedTuple):
    """A page of the library's reference.

    Attributes:
        title: its heading.
        intro: Markdown below the heading, with an example.
        objects: the dotted paths of what it describes.
    """

    title: str
    intro: str
    objects: tuple[str, ...]


def _page(name: str, title: str, *objects: str) -> tuple[str, ApiPage]:
    intro = (_INTROS / name).with_suffix(".txt").read_text(encoding="utf-8").strip()
    return name, ApiPage(title, intro, objects)


def _classes(module: str) -> tuple[str, ...]:
    members = found(module).members
    own = {name: each for name, each in members.items() if not each.is_alias}
    return tuple(f"{module}.{name}" for name, each in own.items() if each.is_class)


PAGES = dict(
    [
        _page(
            "jobs.md",
            "Jobs, tasks and workflows",
            "gigq.Job",
            "gigq.Retry",
            "gigq.JobStatus",
            "gigq.decorators.task",
            "gigq.decorators.TaskWrapper",
            "gigq.Workflow",
            "gigq.current_job",
            "gigq.execution.job_context.CurrentJob",
        ),
        _page(
            "queue.md",
            "Queues",
            "gigq.JobQueue",
            "gigq.queue.Requeued",
            "gigq.rescheduling.Rescheduled",
            "gigq.close_connections",
        ),
        _page("worker.md", "Workers", "gigq.Worker"),
        _page("errors.md", "Errors", *_classes("gigq.errors")),
        _page(
            "events.md",
            "Events",
            "gigq.events.subscribe",
            "gigq.events.setup_logging",
            "gigq.events.send_to",
            "gigq.events.Route",
            "gigq.events.heard",
            "gigq.events.emit",
        ),
        _page(
            "django.md",
            "Django",
            "gigq.contrib.django",
            "gigq.contrib.django.before_job",
            "gigq.contrib.django.after_job",
            "gigq.contrib.django.worker_stop",
            "gigq.contrib.django.OpenTransactionError",
        ),
    ]
)
"""The pages by their file in docs/reference."""
