"""Two transactions at the same time: the second one begins before the first one commits."""

from __future__ import annotations

import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from support import stores
from support.postgres import server
from support.waiting import wait_until

from gigq.store.postgres import connections

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from gigq.store.database import Database

# Two transactions that add rows at the same time may wait for each other's new page: `extend`.
_WAITS = (
    "SELECT count(*) FROM pg_stat_activity "
    "WHERE application_name = %s AND wait_event_type = 'Lock' AND wait_event <> 'extend'"
)


class Beside(threading.Thread):
    """A verb in a thread with a connection of its own.

    Attributes:
        found: what the verb has returned.
        has_waited: True when it waited for a lock of the first transaction.
    """

    def __init__(self, address: str, verb: Callable[[Database], Any]) -> None:
        super().__init__()
        self.found: Any = None
        self.has_waited = False
        self._name = f"beside-{id(self)}"
        self._address = f"{address}&application_name={self._name}"
        self._verb = verb
        self._error: BaseException | None = None

    def run(self) -> None:
        try:
            self.found = self._verb(stores.database_at(self._address))
        except BaseException as error:  # noqa: BLE001 - `finish` raises it in the test
            self._error = error
        finally:
            connections.close_connection(self._address)

    def finish(self) -> Any:
        """Wait for the end of the verb; its value."""
        self.join(60)
        assert not self.is_alive()
        if self._error is not None:
            raise self._error
        return self.found

    def as_far_as_it_gets(self) -> None:
        """Wait until the verb is over or waits for a lock."""
        import psycopg

        with psycopg.connect(server(), autocommit=True) as look:

            def waits() -> bool:
                row = look.execute(_WAITS, (self._name,)).fetchone()
                return row is not None and row[0] > 0

            wait_until(lambda: not self.is_alive() or waits())
        self.has_waited = self.is_alive()


@contextmanager
def before(db: Database, address: str, verb: Callable[[Database], Any]) -> Iterator[Beside]:
    """A transaction on `db`, in which the `with` block runs; `verb` begins before it commits."""
    second = Beside(address, verb)
    with db.transaction(durable=False):
        yield second
        second.start()
        second.as_far_as_it_gets()
    second.finish()
