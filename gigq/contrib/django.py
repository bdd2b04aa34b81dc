"""Hooks for Django.

1. The import calls `django.setup()` with the settings that `DJANGO_SETTINGS_MODULE` names.
2. Before and after each job, database connections that are broken or too old are closed, as around
   a request; caches are closed after it.
3. A transaction that a job leaves open is rolled back, and the attempt fails.
4. After each job the language and the time zone are restored.
5. When a worker exits, its connections are closed.

Connections of asynchronous calls, such as `await Order.objects.acreate()`, are treated in the same
way, because `sync_to_async` runs all these calls in one thread.
"""

from __future__ import annotations

import os
import threading
from contextlib import suppress
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

import django
from asgiref.sync import SyncToAsync
from django.apps import apps
from django.conf import settings
from django.core.cache import close_caches
from django.core.exceptions import ImproperlyConfigured
from django.db import connections, reset_queries
from django.db.backends.signals import connection_created
from django.utils import timezone, translation

from gigq.errors import GigqError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from concurrent.futures import Future

    from gigq.execution.job_context import CurrentJob

    Connection = Any

_T = TypeVar("_T")

_VARIABLE = "DJANGO_SETTINGS_MODULE"

_PATIENCE = 0.5
"""Seconds to wait for the thread of asynchronous calls, where an interrupted one may go on."""


class OpenTransactionError(GigqError):
    """A job's function returned without ending its transaction."""


class _State(NamedTuple):
    """The state of Django before a job.

    Attributes:
        in_blocks: the connections of the job's thread that were in a transaction.
        in_blocks_elsewhere: those of the thread of asynchronous calls.
    """

    language: str | None
    time_zone: Any
    in_blocks: frozenset[str]
    in_blocks_elsewhere: frozenset[str]


_before: ContextVar[_State | None] = ContextVar("gigq_contrib_django", default=None)
_threads_at_work: set[threading.Thread] = set()
_of_other_threads: dict[int, tuple[Connection, threading.Thread]] = {}
"""Connections of threads other than the main one, by id, each with the thread that opened it."""


def before_job(job: CurrentJob) -> None:  # noqa: ARG001 - the hook's parameters
    """Close connections that are broken or too old, and save the language and the time zone.

    Args:
        job: the running job.
    """
    reset_queries()
    language, time_zone = translation.get_language(), timezone.get_current_timezone()
    in_blocks = _refresh()
    elsewhere = _with_asynchronous_calls(_refresh, frozenset[str]())
    _threads_at_work.add(threading.current_thread())
    _before.set(_State(language, time_zone, in_blocks, elsewhere))


def after_job(job: CurrentJob, error: BaseException | None) -> None:  # noqa: ARG001 - the same
    """Restore the language and the time zone, and close connections that would harm the next job.

    Args:
        job: the running job.
        error: the exception that ended its function; None when it returned.

    Raises:
        OpenTransactionError: the function has returned, and a transaction of it is open.
    """
    _threads_at_work.discard(threading.current_thread())
    before = _before.get()
    if before is None:  # `before_job` has not come to its end
        nothing = frozenset[str]()
        zone = timezone.get_default_timezone()
        before = _State(settings.LANGUAGE_CODE, zone, nothing, nothing)
    _restore(before)
    close_caches()
    left = _end_transactions(before.in_blocks)
    left += _with_asynchronous_calls(lambda: _end_transactions(before.in_blocks_elsewhere), [])
    left += _close_those_of_ended_threads()
    if left and error is None:
        raise OpenTransactionError(
            f"the function has returned with an open transaction on {', '.join(left)}, which was "
            "rolled back; use `with transaction.atomic()`, or commit before it returns"
        )


def worker_stop() -> None:
    """Close the connections of the worker's main thread."""
    connections.close_all()


def _restore(before: _State) -> None:
    timezone.activate(before.time_zone)
    if before.language is None:
        translation.deactivate_all()
    else:
        translation.activate(before.language)


def _opened() -> Iterable[Connection]:
    """Return the connections that this thread has used so far."""
    found: Iterable[Connection] = connections.all(initialized_only=True)
    return found


def _with_asynchronous_calls(function: Callable[[], _T], otherwise: _T) -> _T:
    """Call a function in the thread where `sync_to_async` runs the calls of every job.

    Returns:
        Its return value; `otherwise` without such a thread, while a job of another thread may
        use its connections, and when the thread is busy.
    """
    executor = SyncToAsync.single_thread_executor
    if not executor._threads or _others_are_at_work():
        return otherwise
    call: Future[_T] = executor.submit(function)
    with suppress(TimeoutError):
        return call.result(_PATIENCE)
    return otherwise if call.cancel() else call.result()


def _others_are_at_work() -> bool:
    here = threading.current_thread()
    return any(one.is_alive() for one in list(_threads_at_work) if one is not here)


def _note_connection(connection: Connection, **_signal: object) -> None:
    """Keep a job's connection until its thread has ended; closing it returns it to a pool."""
    thread = threading.current_thread()
    if _threads_at_work and thread is not threading.main_thread():
        _of_other_threads[id(connection)] = connection, thread


def _close_those_of_ended_threads() -> list[str]:
    """Close the connections of threads that jobs have started and that have ended.

    Returns:
        The connections on which a transaction was open, when no other job may have opened it.
    """
    ended = [key for key, (_, thread) in list(_of_other_threads.items()) if not thread.is_alive()]
    closed = [_of_other_threads.pop(key)[0] for key in ended]
    left = [one.alias for one in closed if _close_of_ended_thread(one)]
    return [] if _others_are_at_work() else left


def _close_of_ended_thread(connection: Connection) -> bool:
    """Close a connection that no thread uses any more; True when a transaction was open."""
    if connection.connection is None:
        return False
    connection.inc_thread_sharing()
    usual = connection.settings_dict["AUTOCOMMIT"]
    was_open = connection.in_atomic_block or (
        connection.autocommit != usual and _is_in_transaction(connection.connection)
    )
    connection.in_atomic_block = False
    with suppress(Exception):  # it may be broken
        connection.close()
    return was_open


def _refresh() -> frozenset[str]:
    """Close this thread's connections that are too old.

    Returns:
        The connections that are in a transaction and stay as they are: a test case has its own
        around the job.
    """
    in_blocks = frozenset(one.alias for one in _opened() if one.in_atomic_block)
    _close_old(in_blocks)
    return in_blocks


def _end_transactions(in_blocks: frozenset[str]) -> list[str]:
    """Discard this thread's connections that a job has left in a transaction.

    Args:
        in_blocks: those that were in one before the job.

    Returns:
        The connections on which a transaction was open.
    """
    own = [one for one in _opened() if one.alias not in in_blocks]
    left = [one.alias for one in own if _ends_transaction(one)]
    _close_old(in_blocks)
    return left


def _close_old(in_blocks: frozenset[str]) -> None:
    """Close connections that are broken or older than CONN_MAX_AGE, as around a request."""
    for connection in _opened():
        if connection.alias in in_blocks:
            continue
        if connection.errors_occurred:
            # Django never finds one of SQLite broken, and a new one costs little after an error.
            connection.close()
        connection.close_if_unusable_or_obsolete()


def _ends_transaction(connection: Connection) -> bool:
    """Discard a connection that a job has left in a transaction or with another autocommit.

    Returns:
        True when a transaction was open, as far as the driver reports it.
    """
    if connection.connection is None:
        return False
    usual = connection.settings_dict["AUTOCOMMIT"]
    if not connection.in_atomic_block and connection.autocommit == usual:
        return False
    was_open = connection.in_atomic_block or _is_in_transaction(connection.connection)
    _discard(connection)
    return was_open


def _is_in_transaction(raw: Any) -> bool:
    """Ask the driver's own connection; without an answer a transaction counts as open."""
    with suppress(Exception):  # a broken one answers nothing
        if hasattr(raw, "in_transaction"):  # sqlite3
            return bool(raw.in_transaction)
        return bool(raw.info.transaction_status)  # psycopg
    return True


def _discard(connection: Connection) -> None:
    """Roll back, and reset Django's state of the transaction."""
    with suppress(Exception):  # it may be broken, and is closed all the same
        connection.connection.rollback()
    connection.in_atomic_block = False
    with suppress(Exception):
        connection.close()
    if connection.connection is None:
        del connections[connection.alias]
        return
    # A database in memory is gone when its connection is closed, so Django keeps that open.
    connection.savepoint_ids, connection.atomic_blocks = [], []
    connection.needs_rollback = False
    connection.set_autocommit(connection.settings_dict["AUTOCOMMIT"])


def _set_up() -> None:
    if not settings.configured and not os.environ.get(_VARIABLE):
        raise ImproperlyConfigured(
            f"{_VARIABLE} is not set; set it in [code.environment] of the configuration of gigqd, "
            "or in the environment of the command"
        )
    if not apps.ready:
        django.setup()


_set_up()
connection_created.connect(_note_connection, dispatch_uid=__name__)
