"""A connection of gigq's own to a PostgreSQL server, with its settings."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from psycopg import Connection

from gigq.store.dialect import POSTGRES
from gigq.store.statements import statements

if TYPE_CHECKING:
    from gigq.store.postgres.address import Address


class QueueConnection(Connection[Any]):
    """A connection that knows the schema of its queue.

    Attributes:
        schema: the schema of the queue; None for that of the connection.
        direct: the address that avoids a pooler; None without one.
        set_up: the statements with which each of its transactions begins. Behind a pooler every
            transaction may be on another session of the server; elsewhere there are none.
    """

    schema: str | None = None
    direct: str | None = None
    set_up: tuple[str, ...] = ()

    def follow(self, address: Address) -> None:
        """Make the settings that the address asks for."""
        self.schema, self.direct = address.schema, address.direct
        sql = statements(POSTGRES)
        chosen = address.schema or ""
        if address.is_pooled:
            self.prepare_threshold = None
            schema = [sql["choose_schema_of_transaction"].format(schema=chosen)] if chosen else []
            self.set_up = (sql["limit_transaction"], *schema)
            return
        self.execute(sql["limit_session"])
        if chosen:
            self.execute(sql["choose_schema_of_session"].format(schema=chosen))
