"""The backend of a worker, from the queue or the path that it is given."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from gigq.errors import UnsupportedStore
from gigq.queue import JobQueue
from gigq.store.backend import MEMORY, FileBackend, backend_of
from gigq.store.sqlite.file.filesystem import absolute

if TYPE_CHECKING:
    import os

    from gigq.store.backend import Backend


class _BackendOfQueue(FileBackend):
    """The file of a queue whose class has its own connections."""

    def __init__(self, queue: JobQueue) -> None:
        assert queue.db_path is not None
        super().__init__(queue.db_path)
        self._queue = queue

    def connection(self, *, may_create: bool = True) -> Any:  # noqa: ARG002 - as the queue does
        return self._queue._get_connection()


def backend_of_worker(given: JobQueue | str | os.PathLike[str]) -> tuple[Any, Backend]:
    """Return the path and the backend of a queue, which is given as an object or as a path.

    Raises:
        UnsupportedStore: it is ":memory:", which would be an empty database of the worker's own.
        TypeError: it is a queue that has no path.
    """
    if isinstance(given, JobQueue):
        if given.db_path is None:
            raise TypeError("this JobQueue brings its own connections and has no db_path")
        if type(given)._get_connection is JobQueue._get_connection:
            return given.db_path, given._backend
        return given.db_path, _BackendOfQueue(given)
    if given == MEMORY:
        raise UnsupportedStore(
            'Worker(":memory:") would find an empty database of its own; give it the queue itself: '
            "Worker(queue)"
        )
    path = absolute(given)
    return path, backend_of(path)
