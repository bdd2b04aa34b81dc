"""The backend of a worker, from the queue or the path that it is given, and its lease there."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from gigq.errors import UnsupportedStore
from gigq.model.database_address import is_address
from gigq.queue import JobQueue
from gigq.store.backend import MEMORY, FileBackend, backend_of
from gigq.store.dialect import POSTGRES, dialect_of
from gigq.store.sqlite.file.filesystem import absolute

if TYPE_CHECKING:
    import os
    from collections.abc import Callable

    from gigq.execution.callbacks import Callbacks
    from gigq.execution.plain_lease import EndlessLease, PlainLease
    from gigq.store.backend import Backend


class _BackendOfQueue(FileBackend):
    """The file of a queue whose class has its own connections."""

    def __init__(self, queue: JobQueue) -> None:
        assert queue.db_path is not None
        super().__init__(queue.db_path)
        self._queue = queue

    def connection(self, *, may_create: bool = True) -> Any:  # noqa: ARG002 - as the queue does
        return self._queue._get_connection()

    held = connection


def backend_of_worker(given: JobQueue | str | os.PathLike[str]) -> tuple[Any, Backend]:
    """Return the path and the backend of a queue, which is given as an object or as a path.

    Raises:
        UnsupportedStore: it is ":memory:", which would be an empty database of the worker's own.
        TypeError: it is a queue without a path whose connections are those of SQLite.
    """
    if isinstance(given, JobQueue):
        return given.db_path, _backend_of_queue(given)
    if given == MEMORY:
        raise UnsupportedStore(
            'Worker(":memory:") would find an empty database of its own; give it the queue itself: '
            "Worker(queue)"
        )
    path = absolute(given)
    if is_address(path):
        from gigq.store.postgres.backend import PostgresBackend
        from gigq.store.postgres.connections import WORKER

        return path, PostgresBackend(str(path), WORKER)
    return path, backend_of(path)


def run_of(backend: Backend) -> Callable[[], str] | None:
    """Return the function that returns the run of this process and sees to its lease."""
    lease = _lease_of(backend)
    return None if lease is None else lease.for_claim


def guarded(backend: Backend, given: Callbacks) -> Callbacks:
    """Return callbacks of a worker that also note its running jobs at the lease."""
    lease = _lease_of(backend)
    return given if lease is None else lease.guarded(given)


def end_lease(backend: Backend) -> None:
    """End the lease of this process, unless another worker of it runs a job."""
    lease = _lease_of(backend)
    if lease is not None:
        lease.end()


def _lease_of(backend: Backend) -> PlainLease | EndlessLease | None:
    """Return the lease of this process at a database; None with a file, which needs none."""
    if backend.lease is None:
        return None
    from gigq.execution import plain_lease

    return plain_lease.lease_of(backend)


def _backend_of_queue(queue: JobQueue) -> Backend:
    path, has_own = queue.db_path, type(queue)._get_connection is not JobQueue._get_connection
    if path is not None and not has_own:
        found: Backend = queue._backend
        return found
    if path is not None and not is_address(path):
        return _BackendOfQueue(queue)
    if has_own and dialect_of(queue._get_connection()) == POSTGRES:
        from gigq.store.postgres.backend import BackendOfConnections

        return BackendOfConnections(path, queue._get_connection)
    raise TypeError(
        "this JobQueue has no db_path, and no connections to PostgreSQL of its own either"
    )
