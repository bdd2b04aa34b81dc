"""Connections on which tables of a file are replaced while references to them stay as they are."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from gigq.errors import UnsupportedStore
from gigq.store.database import Database

if TYPE_CHECKING:
    from collections.abc import Iterator


@contextmanager
def references_kept(db: Database) -> Iterator[Database]:
    """Keep the names in other tables, views and triggers while the tables are replaced.

    Foreign keys are off during that: dropping a table would delete the rows that refer to it.

    Yields:
        The database on one connection: a subclass may switch foreign keys on for each new one.

    Raises:
        UnsupportedStore: foreign keys are on, in a transaction that the caller has opened.
    """
    with db.read() as session:
        row = session.one("foreign_keys") or {}
    enforced = bool(row.get("foreign_keys"))
    if enforced and session.connection.in_transaction:
        raise UnsupportedStore(
            "the schema cannot be changed in a transaction that enforces foreign keys; open the "
            "queue once before it"
        )
    if enforced:
        session.run("switch_foreign_keys_off")
    session.run("keep_references")
    try:
        yield Database(lambda: session.connection, db.lock_timeout)
    finally:
        session.run("follow_references")
        if enforced:
            session.run("switch_foreign_keys_on")
