"""The database of a configuration, as the daemon's processes use it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gigq.store.backend import FileBackend

if TYPE_CHECKING:
    from gigq.store.postgres.backend import DaemonBackend
    from gigqd.config import Config


def backend_of(config: Config) -> FileBackend | DaemonBackend:
    """Return the access to the database of a configuration."""
    if config.database_file:
        return FileBackend(str(config.database_file))  # a Path would be converted at each use
    from gigq.store.postgres.backend import DaemonBackend

    return DaemonBackend(config.queue.database, str(config.place))
