"""The transaction in which a PostgreSQL database is migrated while other processes use it."""

from __future__ import annotations

import time
from contextlib import suppress
from typing import TYPE_CHECKING

from gigq.errors import StoreLocked
from gigq.model.jitter import random_between
from gigq.store.database import Database
from gigq.store.dialect import POSTGRES
from gigq.store.postgres import connections, drivers
from gigq.store.session import MissingRight
from gigq.store.statements import statements

if TYPE_CHECKING:
    from collections.abc import Callable

    from gigq.store.session import Session

_PAUSE = 1.0


def run(db: Database, migrate: Callable[[Session], None]) -> None:
    """Migrate in one transaction, on the direct connection if there is a pooler.

    A table that is altered must not be in use. So the transaction waits for it for a second, in
    which other sessions wait too. Then it is undone, and tried again after a pause for the others,
    until the lock timeout of the database is over.

    Args:
        db: the database.
        migrate: called with the transaction, once for each try.

    Raises:
        StoreLocked: sessions have used the tables for all of the time; with their numbers.
        MissingRight: the role may not migrate.
    """
    direct = _direct(db)
    deadline = time.monotonic() + db.lock_timeout
    while True:
        try:
            _run_once(direct, migrate)
        except StoreLocked as error:
            if time.monotonic() >= deadline:
                raise StoreLocked(
                    f"the tables could not be migrated ({error}). Sessions that use them: "
                    f"{_sessions(direct)}. Nothing was changed"
                ) from error
        except MissingRight as error:
            said = str(error.__cause__).partition("\n")[0]  # the statement comes after it
            raise MissingRight(
                f"the role may not create or change the tables of the queue ({said}); "
                "let a role with the rights of administrator.sql run gigq migrate, or the script "
                "that gigq migrate --sql prints, and then submitter.sql or worker.sql for this "
                "role. Nothing was changed"
            ) from error
        else:
            return
        time.sleep(random_between(_PAUSE, 2 * _PAUSE))


def try_out(db: Database, migrate: Callable[[Session], None]) -> None:
    """Migrate as `run` does, and undo it.

    Args:
        db: the database.
        migrate: called with the transaction, once for each try.

    Raises:
        StoreError: the migration fails.
    """

    def migrate_and_undo(session: Session) -> None:
        migrate(session)
        raise _Undone

    with suppress(_Undone):
        run(db, migrate_and_undo)


class _Undone(Exception):  # noqa: N818 - no error
    """The migration was possible, and is undone."""


def create_schema(session: Session) -> None:
    """Create the schema that the address names, if it is missing."""
    schema = drivers.schema_of(session.connection)
    if schema is not None and session.one("named_schema", {"schema": schema}) is None:
        session.run_script(statements(POSTGRES)["create_named_schema"].format(schema=schema))


def _run_once(db: Database, migrate: Callable[[Session], None]) -> None:
    with db.transaction(durable=True) as session:
        session.all("lift_time_limits")
        session.lock("schema", {"schema": drivers.schema_of(session.connection)})
        session.all("wait_shortly_for_tables")
        migrate(session)


def _direct(db: Database) -> Database:
    """Return the database on a connection that avoids the pooler, where the address has one."""
    address = drivers.direct_of(db.connection())
    if address is None:
        return db
    return Database(lambda: connections.open_connection(address), db.lock_timeout)


def _sessions(db: Database) -> str:
    rows = db.all("sessions_at_tables")
    return ", ".join(f"{row['pid']} ({row['name']})" for row in rows) or "none any more"
