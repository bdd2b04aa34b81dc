"""The access of one worker to its queue: connections, transactions, wakeups and its run."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from gigq.model.made_once import made_once
from gigq.store import migrate
from gigq.store.database import LOCK_TIMEOUT, Database

if TYPE_CHECKING:
    from collections.abc import Callable

    from gigq.store.place import Place


class StoreHandle:
    """A queue as one worker uses it, opened at the first use.

    Args:
        place: the file or the memory of the queue; it wakes other workers.
        connect: returns the calling thread's connection; None for that of the place.
        begin: the databases in which the tables of a queue may be created.
        lock_timeout: seconds to wait for a locked database, or a function that returns them.
        durable: True when every commit must survive a power cut.
        run: the run that the worker's executions name; None for that of this process.
    """

    def __init__(
        self,
        place: Place,
        connect: Callable[[], Any] | None = None,
        *,
        begin: migrate.Begin = migrate.Begin.EMPTY,
        lock_timeout: float | Callable[[], float] = LOCK_TIMEOUT,
        durable: bool = False,
        run: str | None = None,
    ) -> None:
        self.place = place
        self.connect = connect or place.connection
        self.durable = durable
        self._begin = begin
        self._lock_timeout = lock_timeout
        self._run = run

    @property
    def run(self) -> str:
        """The run whose lock shows other processes that the worker is alive."""
        return self._run or self.place.run()

    @made_once
    def database(self) -> Database:
        """Return the database, created or migrated to today's schema."""
        database = Database(self.connect, self._lock_timeout, durable=self.durable)
        migrate.apply(database, self._begin)
        return database
