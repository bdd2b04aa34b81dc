"""What happens to jobs, as named events: to subscribers, and to the logger `gigq`."""

from __future__ import annotations

import logging
from contextlib import suppress
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

    Subscriber = Callable[[str, dict[str, Any]], None]

JOB_SUBMITTED = "job.submitted"
JOB_STARTED = "job.started"
JOB_COMPLETED = "job.completed"
JOBS_COMPLETED = "jobs.completed"
JOB_FAILED = "job.failed"
JOB_TIMEOUT = "job.timeout"
JOB_CANCELLED = "job.cancelled"
JOB_CANCEL_REQUESTED = "job.cancel_requested"
JOB_RETRYING = "job.retrying"
JOB_REQUEUED = "job.requeued"
JOB_RESCUED = "job.rescued"
JOB_SUPERSEDED = "job.superseded"
WORKER_STARTED = "worker.started"
WORKER_STOPPING = "worker.stopping"
WORKER_STOPPED = "worker.stopped"
STORE_UNAVAILABLE = "store.unavailable"

logger = logging.getLogger("gigq")
# A library leaves it to its application whether and where anything is logged.
logger.addHandler(logging.NullHandler())

_subscribers: list[Subscriber] = []


def subscribe(subscriber: Subscriber) -> Callable[[], None]:
    """Have a function called at every event, in the thread in which it happens.

    Args:
        subscriber: called with the event's name and its fields. What it raises is logged.

    Returns:
        A function that ends the subscription.
    """
    _subscribers.append(subscriber)

    def unsubscribe() -> None:
        with suppress(ValueError):  # ended before
            _subscribers.remove(subscriber)

    return unsubscribe


def heard(level: int = logging.INFO, source: logging.Logger = logger) -> bool:
    """Whether anybody would be told of an event: worth asking where events come by the thousand.

    Args:
        level: the level of its log line.
        source: the logger: `gigq` or one below it.
    """
    return bool(_subscribers) or source.isEnabledFor(level)


def emit(
    name: str, /, *, level: int = logging.INFO, source: logging.Logger = logger, **fields: Any
) -> None:
    """Tell the subscribers and the log that something happened.

    Args:
        name: one of this module's names.
        level: the level of the log line.
        source: the logger: `gigq` or one below it.
        **fields: what is known about it. They become attributes `event` and `fields` of the
            log record, so that a structured logger need not read the text.
    """
    for subscriber in tuple(_subscribers):
        _tell(subscriber, name, fields)
    if source.isEnabledFor(level):
        source.log(level, "%s", _Line(name, fields), extra={"event": name, "fields": fields})


def setup_logging(level: int = logging.INFO) -> None:
    """Write the log of gigq to standard error; for applications that have no logging of their own.

    Args:
        level: the lowest level to write, such as `logging.DEBUG`.
    """
    logger.setLevel(level)
    logger.propagate = False
    for handler in list(logger.handlers):
        logger.removeHandler(handler)
    handler = logging.StreamHandler()
    handler.setFormatter(logging.Formatter("%(asctime)s - %(name)s - %(levelname)s - %(message)s"))
    logger.addHandler(handler)


def _tell(subscriber: Subscriber, name: str, fields: dict[str, Any]) -> None:
    try:
        subscriber(name, fields)
    except Exception:
        logger.exception("a subscriber failed at %s", name)


class _Line:
    """An event as text, made only where somebody wants text."""

    def __init__(self, name: str, fields: dict[str, Any]) -> None:
        self._name = name
        self._fields = fields

    def __str__(self) -> str:
        pairs = [(key, value) for key, value in self._fields.items() if value is not None]
        return " ".join((self._name, *(f"{key}={value!r}" for key, value in pairs)))
