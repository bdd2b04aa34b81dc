"""The part of `JobQueue` that connects to the database and wakes the workers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from gigq.model.cached_property import cached_property
from gigq.store import migrate
from gigq.store.backend import BackendOfPath
from gigq.store.database import LOCK_TIMEOUT, Database
from gigq.store.sqlite.file.filesystem import DatabasePath

if TYPE_CHECKING:
    from collections.abc import Mapping


class Connecting:
    """The connections of a queue to its database, and the wakeup of the workers there."""

    db_path = DatabasePath()
    _backend = BackendOfPath()
    lock_timeout: float = LOCK_TIMEOUT
    _begin: migrate.Begin = migrate.Begin.ANYWHERE

    def close(self) -> None:
        """Close this thread's connection; the next use opens another."""
        if self.db_path is not None:
            self._backend.close()

    def _initialize_db(self) -> None:
        """Create the tables, or migrate those of an older version."""
        migrate.apply(self._connected, self._begin)

    def _get_connection(self) -> Any:
        """Return this thread's connection to the database, without an open transaction."""
        assert self.db_path is not None, "a subclass without db_path brings its own connections"
        return self._backend.connection(may_create=self._begin is not migrate.Begin.NEVER)

    @cached_property
    def _connected(self) -> Database:
        return Database(self._get_connection, lambda: self.lock_timeout, urgent=True)

    @cached_property
    def _database(self) -> Database:
        """Return the database, migrated to the schema of this version."""
        migrate.apply(self._connected, self._begin)
        return self._connected

    def _wake(self, due: Mapping[str, int]) -> None:
        """Wake idle workers that serve the queues in which jobs became due."""
        if self.db_path is not None:
            self._backend.notify(due)
