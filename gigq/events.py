"""Named events about jobs, for subscribers and for the logger `gigq`."""

from __future__ import annotations

import logging
import traceback
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable

    Subscriber = Callable[[str, dict[str, Any]], None]

JOB_SUBMITTED = "job.submitted"
JOB_STARTED = "job.started"
JOB_COMPLETED = "job.completed"
JOB_RETURNED_AFTER_INTERRUPTION = "job.returned_after_interruption"
JOB_FAILED = "job.failed"
JOB_TIMEOUT = "job.timeout"
JOB_CANCELLED = "job.cancelled"
JOB_CANCEL_REQUESTED = "job.cancel_requested"
JOB_RETRYING = "job.retrying"
JOB_SNOOZED = "job.snoozed"
JOBS_EXPIRED = "jobs.expired"
JOB_REQUEUED = "job.requeued"
JOB_RESCHEDULED = "job.rescheduled"
JOB_REQUEUE_REFUSED = "job.requeue_refused"
JOB_RESCUED = "job.rescued"
JOB_SUPERSEDED = "job.superseded"
FUNCTION_UNKNOWN = "function.unknown"
TRANSACTION_ROLLED_BACK = "transaction.rolled_back"
WORKER_STARTED = "worker.started"
WORKER_STOPPING = "worker.stopping"
WORKER_STOPPED = "worker.stopped"
LEASE_NOT_RENEWED = "lease.not_renewed"
STORE_UNAVAILABLE = "store.unavailable"
UNDECLARED_POOLER = "store.undeclared_pooler"
SUBSCRIBER_FAILED = "subscriber.failed"
HOOK_FAILED = "hook.failed"

logger = logging.getLogger("gigq")
# The application decides whether and where a library's records are written.
logger.addHandler(logging.NullHandler())

_subscribers: list[Subscriber] = []


class Route(Protocol):
    """A destination for events that does not depend on the `logging` module."""

    def takes(self, level: int) -> bool:
        """Return True if the route writes events of this level.

        Args:
            level: the level, as in the `logging` module.

        Returns:
            False for events that the route omits.
        """

    def write(self, name: str, level: int, source: str, fields: dict[str, Any]) -> None:
        """Write one event, of a level that `takes` accepts. It must not raise an exception.

        Args:
            name: the name of the event.
            level: the level, as in the `logging` module.
            source: the name of the logger that would otherwise get the event.
            fields: the fields of the event.
        """


_routes: list[Route] = []  # none or one


def send_to(route: Route | None) -> None:
    """Send the events of this process to a route instead of the logger `gigq`.

    gigqd and `gigq worker` use this, so that their log does not depend on how the application
    configures the `logging` module. Subscribers are called in any case.

    Args:
        route: the destination; None to return to the logger.
    """
    _routes[:] = [] if route is None else [route]


def subscribe(subscriber: Subscriber) -> Callable[[], None]:
    """Call a function for every event, in the thread in which the event occurs.

    Args:
        subscriber: called with the event's name, a string, and its fields, a dict. An exception
            of the subscriber is logged as `subscriber.failed`.

    Returns:
        A function that ends the subscription.
    """
    _subscribers.append(subscriber)

    def unsubscribe() -> None:
        with suppress(ValueError):  # it has ended already
            _subscribers.remove(subscriber)

    return unsubscribe


def heard(level: int = logging.INFO, source: logging.Logger = logger) -> bool:
    """Return True if a subscriber, the route or the logger receives events of this level.

    A caller with thousands of events checks this first, and skips events without a receiver.

    Args:
        level: the level of the event.
        source: the logger: `gigq` or one below it.

    Returns:
        False if the event would have no receiver.
    """
    if _subscribers:
        return True
    return _routes[0].takes(level) if _routes else source.isEnabledFor(level)


def emit(
    name: str, /, *, level: int = logging.INFO, source: logging.Logger = logger, **fields: Any
) -> None:
    """Send an event to the subscribers and to the log.

    Args:
        name: the name of the event, such as `JOB_STARTED` of this module.
        level: the level of the event.
        source: the logger: `gigq` or one below it.
        **fields: the fields of the event. The log record has the attributes `event` and `fields`,
            so that a structured logger need not parse the text.
    """
    for subscriber in tuple(_subscribers):
        _call(subscriber, name, fields)
    _log(name, level, source, fields)


def setup_logging(level: int = logging.INFO) -> None:
    """Write the log of gigq to standard error, for applications that do not configure logging.

    Args:
        level: the minimum level, such as `logging.DEBUG`.
    """
    logger.setLevel(level)
    logger.propagate = False
    for handler in list(logger.handlers):
        logger.removeHandler(handler)
    handler = logging.StreamHandler()
    handler.setFormatter(logging.Formatter("%(asctime)s - %(name)s - %(levelname)s - %(message)s"))
    logger.addHandler(handler)


def _call(subscriber: Subscriber, name: str, fields: dict[str, Any]) -> None:
    try:
        subscriber(name, fields)
    except Exception:  # noqa: BLE001 - the worker must continue, and the error is logged
        failed = {"at": name, "error_traceback": traceback.format_exc()}
        _log(SUBSCRIBER_FAILED, logging.ERROR, logger, failed)


def _log(name: str, level: int, source: logging.Logger, fields: dict[str, Any]) -> None:
    if _routes:
        if _routes[0].takes(level):
            _routes[0].write(name, level, source.name, fields)
    elif source.isEnabledFor(level):
        source.log(level, "%s", _Line(name, fields), extra={"event": name, "fields": fields})


class _Line:
    """An event as text, formatted when it is first needed."""

    def __init__(self, name: str, fields: dict[str, Any]) -> None:
        self._name = name
        self._fields = fields

    def __str__(self) -> str:
        pairs = [(key, value) for key, value in self._fields.items() if value is not None]
        return " ".join((self._name, *(f"{key}={value!r}" for key, value in pairs)))
