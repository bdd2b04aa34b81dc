"""A connection of gigq's own to a PostgreSQL server, with its settings."""

from __future__ import annotations

import logging
import os
from typing import TYPE_CHECKING, Any

from psycopg import Connection, Cursor

from gigq import events
from gigq.store.dialect import POSTGRES
from gigq.store.statements import statements

if TYPE_CHECKING:
    from psycopg.errors import Diagnostic

    from gigq.store.postgres.address import Address


class CursorOfApplication(Cursor[Any]):
    """A cursor that the application has made; those of gigq are of the base class."""

    def __init__(self, connection: QueueConnection, **options: Any) -> None:
        super().__init__(connection, **options)
        connection.was_used = True


class QueueConnection(Connection[Any]):
    """A connection that knows the schema of its queue.

    Attributes:
        schema: the schema of the queue; None for that of the connection.
        direct: the address that avoids a pooler; None without one.
        set_up: the statements with which each of its transactions begins. Behind a pooler every
            transaction may be on another session of the server; elsewhere there are none.
        was_used: True when code of the application has made a cursor since the last `restore`. It
            may have changed settings of the session.
        is_ended: True when the server has said that it ends the session.
        lock_timeout: the seconds that the session waits for a lock, outside of transactions.
    """

    schema: str | None = None
    direct: str | None = None
    set_up: tuple[str, ...] = ()
    was_used: bool = False
    is_ended: bool = False
    lock_timeout: float = 30.0  # as in the statement `limit_session`

    _server: str = ""

    def follow(self, address: Address) -> None:
        """Make the settings that the address asks for."""
        self.schema, self.direct, self._server = address.schema, address.direct, address.server
        self.cursor_factory = CursorOfApplication
        self.add_notice_handler(self._note_end)
        if address.is_pooled or address.server in _noted_poolers:
            self._set_up_transactions()
            return
        # Behind a pooler that is not declared, the statement of another client must not run because
        # it has the same name: each driver counts from 0.
        self._prepared._prepared_idx = int.from_bytes(os.urandom(_BYTES_OF_NUMBER), "big")
        # At the second use: a worker repeats few statements, and planning one takes longer than
        # running it. psycopg prepares at the sixth use otherwise.
        self.prepare_threshold = 1
        self._run(self._settings())

    def _note_end(self, message: Diagnostic) -> None:
        self.is_ended = self.is_ended or message.severity_nonlocalized == _FATAL

    def restore(self) -> None:
        """Give the session the settings again that it had before code of the application ran."""
        self.was_used, self.lock_timeout = False, type(self).lock_timeout
        if not self.set_up:
            self._run("; ".join((statements(POSTGRES)["reset_session"], self._settings())))

    def limit_locks(self, seconds: float) -> None:
        """Have statements outside of transactions wait so long for a lock, if they do not yet."""
        if seconds != self.lock_timeout:
            milliseconds = max(1, round(seconds * 1000))
            self._run(statements(POSTGRES)["limit_locks"].format(milliseconds=milliseconds))
            self.lock_timeout = seconds

    def _settings(self) -> str:
        sql, schema = statements(POSTGRES), self.schema
        choose = [sql["choose_schema_of_session"].format(schema=schema)] if schema else []
        return "; ".join((sql["limit_session"], *choose))

    def _run(self, script: str) -> None:
        with Cursor(self) as cursor:
            cursor.execute(script, prepare=False)

    def note_pooler(self, error: str) -> None:
        """Go on as behind a pooler that the address does not declare.

        So do the next connections of this process, and the first one logs a warning.

        Args:
            error: the error that has shown it.
        """
        self._set_up_transactions()
        if self._server not in _noted_poolers:
            _noted_poolers.add(self._server)
            events.emit(
                events.UNDECLARED_POOLER, level=logging.WARNING, error=error, remedy=_DECLARE
            )

    def _set_up_transactions(self) -> None:
        self.prepare_threshold = None
        sql = statements(POSTGRES)
        schema = self.schema
        choose = [sql["choose_schema_of_transaction"].format(schema=schema)] if schema else []
        self.set_up = (sql["limit_transaction"], *choose)


_BYTES_OF_NUMBER = 6
_FATAL = "FATAL"
_DECLARE = (
    "set pooler = true in [queue], or add pooler=true to the address: a pooler gives each "
    "transaction another session of the server, and gigq has stopped to prepare statements"
)
_noted_poolers: set[str] = set()
"""The servers, as libpq is given them, behind poolers that were noted."""
