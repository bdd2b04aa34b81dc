"""A schema on a PostgreSQL server, which is restarted, frozen, read-only or full now and then."""

from __future__ import annotations

import csv
import shutil
import time
from contextlib import ExitStack, suppress
from typing import TYPE_CHECKING, Any

import psycopg
from psycopg.rows import dict_row
from support import postgres
from torture import plan
from torture.database import Database
from torture.history import Execution, JobRow, Records

from gigq.store.sqlite.processes import run_locks
from gigqd.process.process_tag import home_with

if TYPE_CHECKING:
    from pathlib import Path

    from support.postgres import OwnServer
    from torture.database import Later
    from torture.notes import Notes
    from torture.plan import Fault

SETTINGS = (
    "max_connections = 150",
    "superuser_reserved_connections = 0",
    "fsync = on",
    "full_page_writes = on",
    "log_line_prefix = '%m [%p] %a '",
    "include_if_exists = 'fault.conf'",
)
_CONNECT = {"connect_timeout": 5, "application_name": "torture"}
_FORGIVES = ("lock", "lock-rows", "terminate", "connections")
"""Faults that other faults may end."""

_SETTLES = 2.5
"""Seconds after which every process has tried to connect once more."""

_ALONE = ("restart", "outage", "halt")
"""Faults that stop the server or its processes, one at a time."""

_VARIANTS = {
    "restart": ("fast", "immediate"),
    "outage": ("fast", "immediate"),
    "terminate": ("some", "all"),
    "lock": ("jobs", "job_executions"),
}
_CLOSED_WITHIN = 5.0
_AGAIN = 0.1
_TABLES = ("jobs", "job_executions", "job_dependencies")
_SESSIONS = """
SELECT application_name, state, backend_start, query FROM pg_stat_activity
WHERE application_name LIKE 'gigq%' AND datname = current_database()
"""
_TWICE = "SELECT id FROM {} GROUP BY id HAVING count(*) > 1"
_WITHOUT_JOB = """
SELECT id FROM job_executions WHERE NOT EXISTS (SELECT FROM jobs WHERE jobs.id = job_id)
"""


class ServerDatabase(Database):
    """A database of PostgreSQL.

    Args:
        notes: what is counted, and what is wrong.
        address: an empty schema on another server, whose sessions alone have faults; None for a
            server of this run's own, which has faults, too.
        server: one that is the run's own and not started yet.
    """

    deck = plan.SERVER_DECK
    looks = (("stats",), ("list",), ("list", "--json"))

    def __init__(
        self, notes: Notes, address: str | None = None, server: OwnServer | None = None
    ) -> None:
        self._open = ExitStack()
        if server is None and address is None:
            server = self._open.enter_context(postgres.own_server(*SETTINGS))
        self._server = server
        super().__init__(server.address if server else str(address), notes)
        if server is None:
            self.deck = plan.SESSION_DECK
            self.remarks = ["no faults of the server, which is not the run's own"]

    def is_possible(self, fault: Fault) -> bool:
        """Whether a fault can be played now: a server that is stopped cannot be stopped."""
        if fault.what in _ALONE:
            return not self._runs(*_ALONE)
        return fault.what != "read-only" or not self._runs("read-only")

    def play(self, fault: Fault, later: Later) -> None:
        """Start the program that does it."""
        self._notes.did(f"{fault.what} {_how(fault)}".rstrip(), seconds=fault.seconds)
        self._start(
            fault.what,
            "torture.server_faults",
            *(fault.what, *self._place(), str(fault.seconds), _how(fault)),
            must_succeed=fault.what not in _FORGIVES,
            settles=_SETTLES,
        )

    def _place(self) -> tuple[str, str]:
        """The address and the folder of the server, for a program that makes a fault."""
        return self.address, str(self._server.folder.parent) if self._server else ""

    def place_of(self, runtime_dir: Path) -> Path:
        """A path in the runtime directory."""
        return runtime_dir / "queue"

    def marks_at(self, place: Path) -> set[str]:
        """What comes from the id in the daemon's lock file, if the file is there."""
        with suppress(OSError):
            found = (run_locks.companion_path(place) / "locks").read_text()
            return {home_with(found)} if found else set()
        return set()

    def read(self, *, check: bool = True) -> Records | None:
        """Read all rows of one moment."""
        try:
            with psycopg.connect(self.address, row_factory=dict_row, **_CONNECT) as connection:
                return _read(connection, check=check)
        except psycopg.Error:
            return None

    def left_by_a_stop(self) -> list[str]:
        """A stop leaves no session, once the server has seen the ends of the connections."""
        end = time.monotonic() + _CLOSED_WITHIN
        with psycopg.connect(self.address, autocommit=True, **_CONNECT) as connection:
            while left := [str(row) for row in connection.execute(_SESSIONS)]:
                if time.monotonic() > end:
                    break
                time.sleep(_AGAIN)
        return left

    def keep(self, folder: Path) -> None:
        """Write its tables as CSV, and its log."""
        if self._server:
            shutil.copy(self._server.folder / "log", folder / "server.log")
        with psycopg.connect(self.address, row_factory=dict_row, **_CONNECT) as connection:
            for table in _TABLES:
                rows = connection.execute(f"SELECT * FROM {table}").fetchall()
                with (folder / f"{table}.csv").open("w") as file:
                    writer = csv.DictWriter(file, list(rows[0]) if rows else [])
                    writer.writeheader()
                    writer.writerows(rows)

    def close(self) -> None:
        """Remove the run's own server."""
        self._open.close()


def _how(fault: Fault) -> str:
    """The variant of a fault, the milder or the harsher one; empty when it has none."""
    return _VARIANTS.get(fault.what, ("", ""))[fault.now]


def _read(connection: psycopg.Connection[dict[str, Any]], *, check: bool) -> Records:
    connection.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
    jobs = [JobRow.of(row) for row in connection.execute("SELECT * FROM jobs")]
    rows = connection.execute("SELECT * FROM job_executions")
    executions = [Execution.of(row) for row in rows]
    if not check:
        return Records(jobs, executions)
    # The rows themselves are read: an index could hide one.
    connection.execute("SET LOCAL enable_indexscan = off")
    connection.execute("SET LOCAL enable_indexonlyscan = off")
    connection.execute("SET LOCAL enable_bitmapscan = off")
    twice = [
        f"{table} has {row['id']} twice"
        for table in ("jobs", "job_executions")
        for row in connection.execute(_TWICE.format(table))
    ]
    foreign = [f"execution {row['id']} has no job" for row in connection.execute(_WITHOUT_JOB)]
    return Records(jobs, executions, twice, foreign)
