"""Preparation that all children need, done once before the first fork."""

from __future__ import annotations

from contextlib import suppress

from gigq.errors import UnsupportedStore
from gigq.store import migrate
from gigq.store.dialect import SQLITE
from gigq.store.sqlite.file.filesystem import refuse_network
from gigq.store.statements import statements


def preload(database: str) -> None:
    """Read the store's statements and the mounted file systems, without opening a database.

    Otherwise each child needs a millisecond and most of a megabyte for that.

    Args:
        database: the path of the database.
    """
    statements(SQLITE)
    migrate.latest(SQLITE)
    with suppress(UnsupportedStore):  # the recorder reports it
        refuse_network(database)
