"""What every role would do by itself first, done once before the first fork and shared by all."""

from __future__ import annotations

from contextlib import suppress

from gigq.errors import UnsupportedStore
from gigq.store import migrate
from gigq.store.dialect import SQLITE
from gigq.store.filesystem import refuse_network
from gigq.store.statements import statements


def preload(database: str) -> None:
    """Read what the store needs of this package, and look at the file systems; no database opens.

    Each child that does so for itself takes a millisecond and most of a megabyte for it.

    Args:
        database: where the database is.
    """
    statements(SQLITE.name)
    migrate.latest(SQLITE.name)
    with suppress(UnsupportedStore):  # the keeper finds out, and says so
        refuse_network(database)
