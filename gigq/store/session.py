"""One connection inside a transaction, on which named statements run."""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Any, Protocol

from gigq.errors import StoreError, StoreLocked, StoreUnavailable
from gigq.model.storable_text import storable_list

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping, Sequence
    from contextlib import AbstractContextManager

Row = dict[str, Any]
Completion = tuple[Any, ...]
"""An execution's result, output, `peak_rss`, `cpu_time`, `wall_time` and id, and its job's id."""

NOTHING: Mapping[str, Any] = {}


class UnreadableText(StoreError):  # noqa: N818 - as the other store errors are named
    """Text that is not UTF-8 in a row. From now on the connection decodes it with replacements."""


class Deadlock(StoreLocked):
    """The server has undone a transaction that can be repeated at once.

    It and another one waited for each other or changed the same rows, or a table was altered.
    """


class MissingRight(StoreUnavailable):
    """The role of the connection lacks a right in the database."""


class Limits(Protocol):
    """The settings of a database that its transactions follow.

    Attributes:
        lock_timeout: seconds to wait for a lock.
        urgent: True when a caller waits for the transactions.
    """

    @property
    def lock_timeout(self) -> float:
        """Seconds to wait for a lock."""

    @property
    def urgent(self) -> bool:
        """True when a caller waits for the transactions."""


class Transactions(Protocol):
    """The module with the transactions of a dialect.

    Its functions take the settings of the database and the connection to use.
    """

    def WriteTransaction(  # noqa: N802 - a class
        self, limits: Limits, connection: Any, *, durable: bool
    ) -> AbstractContextManager[Session]:
        """Return a write transaction; inside an open transaction it is a savepoint of that one."""

    def single_write(self, limits: Limits, connection: Any) -> AbstractContextManager[Session]:
        """Return a durable write transaction for one statement."""

    def read(self, limits: Limits, connection: Any) -> AbstractContextManager[Session]:
        """Return a read transaction."""

    def rows_of(
        self, limits: Limits, connection: Any, name: str, params: Mapping[str, Any]
    ) -> list[Row]:
        """Return every row of a single reading statement."""

    def now(self, limits: Limits, connection: Any) -> str:
        """Return the database's time."""

    def is_open(self, connection: Any) -> bool:
        """Return True inside a transaction."""

    def is_touched(self, connection: Any) -> bool:
        """Return True inside a transaction, or when a job may have changed the session."""

    def restore(self, connection: Any) -> None:
        """Undo what a job has set on gigq's own connection for the session."""

    def roll_back(self, connection: Any) -> None:
        """Undo the transaction on a connection."""


class Session(ABC):
    """One connection inside a transaction, on which named statements run.

    Attributes:
        now: the database's time at the start of the transaction, as stored text, or at the last
            `read_time`.
        connection: the connection, for scripts of the schema.
        reads_leniently: True when text that is not UTF-8 is decoded with replacements instead of
            refused.
        is_durable: True when every commit survives a power cut, also of transactions that do not
            ask for it.
    """

    __slots__ = ("connection", "now")

    now: str
    connection: Any
    is_durable = False

    @property
    @abstractmethod
    def reads_leniently(self) -> bool:
        """True when text that is not UTF-8 is decoded with replacements."""

    def one(self, name: str, params: Mapping[str, Any] = NOTHING) -> Row | None:
        """Return the first row, or None. The statement always runs to its end."""
        rows = self.all(name, params)
        return rows[0] if rows else None

    @abstractmethod
    def all(self, name: str, params: Mapping[str, Any] = NOTHING) -> list[Row]:
        """Return every row as a dict."""

    @abstractmethod
    def run(self, name: str, params: Mapping[str, Any] = NOTHING) -> int:
        """Run a statement without rows and return the number of rows it changed."""

    @abstractmethod
    def run_script(self, script: str) -> None:
        """Run the statements of a script without parameters."""

    @abstractmethod
    def many(self, name: str, params: Iterable[Mapping[str, Any] | tuple[Any, ...]]) -> int:
        """Run a statement without rows for each set of `params`; return the rows changed."""

    def insert(self, rows: Iterable[tuple[Any, ...]]) -> frozenset[str]:
        """Store the values of a `JobRow` for each new job.

        Returns:
            The ids that were stored before; none where no other transaction can have stored one
            since this one has looked.
        """
        self.many("insert_job", rows)
        return frozenset()

    def complete(self, rows: Sequence[Completion]) -> bool:
        """Complete executions and their jobs.

        Returns:
            False when another process has settled one of them: undo the transaction then.
        """
        now = self.now
        executions, jobs = [], []
        for result, output, memory, cpu, wall, execution_id, job_id in rows:
            executions.append((result, output, memory, cpu, wall, now, now, execution_id))
            jobs.append((result, now, now, now, job_id, execution_id))
        closed = self.many("complete_execution", executions)
        ended = self.many("complete_job_of_execution", jobs)
        return closed == ended == len(rows)

    def release(self, claims: Iterable[tuple[str, str]]) -> dict[str, Row]:  # noqa: ARG002
        """Undo claims that have not started in one statement, where the database has one for that.

        Args:
            claims: the execution and the job of each; the transaction has locked the jobs.

        Returns:
            The `queue`, `attempts` and `max_attempts` of each released job, by its execution.
        """
        return {}

    def queues_with_due_jobs(
        self,
        excluded: Collection[str],
        limit: int,  # noqa: ARG002 - as PostgreSQL counts
    ) -> tuple[list[Any], int | None]:
        """Return the names of the queues with due jobs, and the number of those jobs.

        Args:
            excluded: the names to leave out.
            limit: the largest number to count.

        Returns:
            No number with SQLite: a second statement costs less there than one for both.
        """
        found = [row["queue"] for row in self.all("queues_with_due_jobs")]
        return [name for name in found if name not in excluded], None

    def best_due(self, queues: Sequence[str], limit: int) -> list[Row]:
        """Return the best due jobs of some queues, in their order."""
        where = {"queues": storable_list(queues), "now": self.now, "limit": limit}
        return self.all("best_due", where)

    def open_and_claim(self, taken: Mapping[str, int], who: Mapping[str, Any]) -> bool:
        """Open executions of pending jobs and claim the jobs, at a time after all that was read.

        Args:
            taken: the row numbers of the jobs by the ids of the executions.
            who: the worker and its run.

        Returns:
            False when a job has an open execution already, and no job was claimed.
        """
        params = {**who, "taken": json.dumps(taken), "now": self.now}
        if self.run("open_executions_of_rows", params) != len(taken):
            return False
        self.run("claim_rows", params)
        return True

    def read_time(self) -> None:  # noqa: B027
        """Set `now` to a time after the last commit that this transaction has seen.

        With SQLite it is one: a write transaction begins when the one before it has ended.
        """

    def lock(self, name: str, params: Mapping[str, Any] = NOTHING) -> None:  # noqa: B027
        """Lock the rows on which the transaction decides; SQLite's write lock covers all rows."""
