"""Inspection of a PostgreSQL server and a queue on it, without a change: facts, not judgements."""

from __future__ import annotations

import sys
import time
from contextlib import closing
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from gigq.errors import StoreUnavailable
from gigq.model import clock
from gigq.model.database_address import without_password
from gigq.store import schema_versions
from gigq.store.database import Database
from gigq.store.dialect import POSTGRES
from gigq.store.doctor.queue_facts import BUDGET, COUNTS, Waiting, finished
from gigq.store.postgres import connections, drivers, sessions
from gigq.store.postgres.address import parse
from gigq.store.postgres.adoption import tables_of
from gigq.store.postgres.daemons import places_of
from gigq.store.postgres.place import place_of_workers, store_of
from gigq.store.postgres.pooler import pooler_of
from gigq.store.postgres.read_only import query
from gigq.store.sqlite.processes import lock_holders, run_locks
from gigq.store.statements import SQL
from gigq.store.verbs import unknown_functions

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from gigq.store.session import Row

_LISTS = (
    *(
        "rights",
        "hidden_tables",
        "tables",
        "indexes",
        "transactions",
        "prepared_transactions",
        "slots",
    ),
    *("sessions_of_gigq", "columns_with_a_collation"),
)


@dataclass(frozen=True, slots=True)
class ServerQueue:
    """The tables of a queue on a server.

    Attributes:
        schema: the version of its schema, 0 for tables that gigq has not made.
        usable_from: the oldest version whose programs may use a database that a newer gigq has
            migrated; None for another one.
        running: the open executions; None when the role may not read them.
        waiting: the due jobs of each queue; None when unknown.
        overdue_since: the time of the first delayed job that is due.
        counts: number of jobs by state, of the states that were counted in the time for it.
        paused: the times of the pauses by queue; none when the role may not read them.
        unknown: the functions that daemons have not found, with their hosts.
    """

    schema: int
    running: tuple[Mapping[str, Any], ...] | None = None
    waiting: tuple[Waiting, ...] | None = None
    overdue_since: str | None = None
    counts: Mapping[str, int] = field(default_factory=dict)
    paused: Mapping[str, str] = field(default_factory=dict)
    unknown: tuple[str, ...] = ()
    usable_from: int | None = None


@dataclass(frozen=True, slots=True)
class ServerInspection:
    """All facts that the checks of a server judge.

    Attributes:
        path: the address, without the password.
        now: the server's time, as stored text.
        python: its version.
        server: version and settings, the row of the statement `server`.
        known_schema: the schema version that this gigq works with.
        clock_ahead: seconds by which the server's clock is ahead of this host's.
        clock_error: the largest error of that number.
        pooler: the mode of the pooler on the way to the server; None without one.
        says_pooler: True when the address has `pooler=true`.
        direct: the address that avoids the pooler; None without one.
        connections: the row of the statement `connections`.
        lists: the rows of the other statements in `server.sql`, by name; None where the role may
            not see them.
        wanted_collations: the columns that sort by bytes in a new queue, as `table.column`.
        servers: processes on this host that run jobs; None when this user may not see them.
        gone: number of open executions of this host whose process has ended; None when unknown.
        content: the tables; None when there is no queue.
    """

    path: str
    now: str
    python: str
    server: Mapping[str, Any]
    known_schema: int
    clock_ahead: float
    clock_error: float
    pooler: str | None
    says_pooler: bool
    direct: str | None = field(repr=False)
    connections: Mapping[str, Any]
    lists: Mapping[str, list[Row] | None]
    wanted_collations: frozenset[str]
    servers: Mapping[str, tuple[int, ...]] | None = None
    gone: int | None = None
    content: ServerQueue | None = None

    @property
    def is_served(self) -> bool | None:
        """True when a process runs jobs, False when none does, None when unknown.

        Sessions may be those of workers on other hosts, or of other queues in the database.
        """
        if self.servers and any(self.servers.values()):
            return True
        return None if self.servers is None or self.sessions else False

    @property
    def sessions(self) -> str | None:
        """The sessions that run jobs, as the server lists them; None without any."""
        return sessions.that_run_jobs(self.rows("sessions_of_gigq"))

    def rows(self, name: str) -> list[Row]:
        """Return the rows of a list; none where the role may not see them."""
        return self.lists[name] or []


def gather(address: str) -> ServerInspection:
    """Inspect a queue on a server without writing or waiting.

    Args:
        address: a connection URI of libpq.

    Raises:
        StoreUnavailable: the server cannot be reached, refuses the role, or does not answer.
        UnsupportedStore: psycopg is not installed.
    """
    with closing(connections.new_connection(address)) as connection:
        # A pooler in transaction mode knows no prepared statements.
        connection.prepare_threshold = None
        server = _required(connection, "server")
        content = _queue(connection)
        ahead, error = _clock(connection)
        return ServerInspection(
            path=without_password(address),
            now=_now(connection),
            python=sys.version.partition(" ")[0],
            server=server,
            known_schema=schema_versions.latest(POSTGRES),
            clock_ahead=ahead,
            clock_error=error,
            pooler=pooler_of(connection, address),
            says_pooler=parse(address).is_pooled,
            direct=parse(address).direct,
            connections=(query(connection, "connections") or [{}])[0],
            lists={name: query(connection, name) for name in _LISTS},
            wanted_collations=frozenset(_wanted_collations()),
            content=content,
            **_processes(connection, content),
        )


def _required(connection: Any, name: str) -> Row:
    """Return the one row of a statement without which nothing can be judged."""
    rows = query(connection, name)
    if rows is None:
        raise StoreUnavailable(
            f"{drivers.address_of(connection)}: the server has not answered what gigq doctor asks "
            "first, or the role may not read pg_database; try again, or run doctor as another role"
        )
    return rows[0]


def _queue(connection: Any) -> ServerQueue | None:
    tables = {row["name"] for row in query(connection, "table_names") or []}
    if "jobs" not in tables:
        return None
    versions = query(connection, "schema_version") if "gigq_schema" in tables else None
    schema = int(versions[0]["version"] or 0) if versions else 0
    if not schema:
        return ServerQueue(schema)
    is_newer = schema > schema_versions.latest(POSTGRES)
    oldest = query(connection, "usable_from") if is_newer else None
    running, due = query(connection, "open_executions"), query(connection, "longest_due")
    overdue = query(connection, "overdue_since", {"now": _now(connection)})
    return ServerQueue(
        schema,
        running=None if running is None else tuple(running),
        waiting=None if due is None else tuple(Waiting(row["queue"], row["since"]) for row in due),
        overdue_since=_value(overdue[0]) if overdue else None,
        counts=_counts(connection, running),
        usable_from=oldest[0]["usable_from"] if oldest else None,
        unknown=unknown_functions.shown(
            query(
                connection,
                "unknown_functions",
                {"after": unknown_functions.fresh_after(_now(connection))},
            )
            or ()
        ),
        paused={row["queue"]: row["paused_at"] for row in query(connection, "pauses") or ()},
    )


def _counts(connection: Any, running: list[Row] | None) -> dict[str, int]:
    """Count the jobs for `BUDGET` seconds at most."""
    deadline = time.monotonic() + BUDGET
    counts = {} if running is None else {"running": len(running)}
    for name, statement in COUNTS.items():
        found = query(connection, statement, seconds=deadline - time.monotonic())
        if found is None:
            return counts
        counts[name] = int(_value(found[0]))
    return {**counts, "finished": finished(counts)}


def _processes(connection: Any, content: ServerQueue | None) -> dict[str, Any]:
    """Return the processes of this host that run jobs, and the number that have ended."""
    if content is None or not query(connection, "store_id"):
        return {}
    store = store_of(connection)
    runs = [row["run"] for row in content.running or ()]
    gone = [run_locks.process_of(run) is None for run in runs if _is_of_this_host(run)]
    return {
        "servers": lock_holders.servers_at((place_of_workers(store), *places_of(store))),
        "gone": None if content.running is None else sum(gone),
    }


def _is_of_this_host(run: str | None) -> bool:
    return run is not None and run_locks.is_of_this_host(run)


def _clock(connection: Any) -> tuple[float, float]:
    """Return by how many seconds the server's clock is ahead, and the largest error of that."""
    before = time.monotonic()
    behind = clock.seconds_since(_required(connection, "nanoseconds")["nanoseconds"])
    error = (time.monotonic() - before) / 2
    return error - behind, error


def _now(connection: Any) -> str:
    return Database(lambda: connection).now()


def _wanted_collations() -> Iterable[str]:
    first = (SQL / "schema" / POSTGRES / "001_queue.sql").read_text(encoding="utf-8")
    for table, columns in tables_of(first):
        for name, definition in columns.items():
            if 'COLLATE "C"' in definition:
                yield f"{table}.{name}"


def _value(row: Row) -> Any:
    return next(iter(row.values()))
