"""The database as the recorder maintains it: a file, or a PostgreSQL server."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Iterator

    from gigq.store.backend import FileBackend
    from gigq.store.database import Database
    from gigq.store.postgres.backend import DaemonBackend


class Storage(Protocol):
    """The database of one daemon, with the upkeep that its kind needs."""

    @property
    def database(self) -> Database:
        """The database, whose transactions wait for locks for a second at most."""

    @property
    def backend(self) -> FileBackend | DaemonBackend:
        """Its wakeups and runs."""

    def home_of_run(self, run: str) -> str:
        """Return the id of the database in the tags of the processes of a run."""

    def connect(self) -> bool:
        """Connect, if that is necessary.

        Returns:
            True when it is the database that `prepare` has prepared.

        Raises:
            StoreError, OSError: the database cannot be used.
        """

    def prepare(self, *, again: bool) -> None:
        """Prepare the database for claims, and create or migrate the tables.

        Args:
            again: True after an error, and in a recorder that replaces one.

        Raises:
            StoreError, OSError: the database cannot be used.
        """

    def look(self) -> None:
        """Look once whether claims are possible. A lock on the table of jobs delays it.

        Raises:
            StoreError: they are not.
        """

    def begin(self, *, damaged: bool = False) -> None:
        """Start the upkeep anew after an error; `damaged` is True after one of the database itself.

        All of a file is read then.
        """

    def check(self) -> None:
        """Check that the database is intact, before something is recorded in it.

        Raises:
            StoreError, OSError: it is not.
        """

    def has_changed(self) -> bool:
        """Return True when a process has committed since the last call, or may have."""

    def is_look_due(self) -> bool:
        """Return True when a change that `has_changed` does not see must be looked for."""

    def may_have_open_executions(self) -> bool:
        """Return False when no execution was open at the last look."""

    def now(self) -> str:
        """Return the time of the database, for comparison with stored times."""

    def maintain(self, *, wanted: bool, changed: bool) -> None:
        """Do the upkeep that is due.

        Args:
            wanted: True when a worker needs to write.
            changed: the last answer of `has_changed`.

        Raises:
            StoreError, OSError: the database cannot be used.
        """

    def give_back_space(self) -> Iterator[None]:
        """Return the space of deleted jobs, step by step."""

    def sleep(self, longest: float) -> bool:
        """Sleep until there is a message, or the next look at the database is due.

        Args:
            longest: seconds to sleep at most.

        Returns:
            True when there is a message of the supervisor.
        """

    def wait(self, seconds: float) -> bool:
        """Wait for a message, `seconds` at most; return True when there is one."""

    def close(self, *, works: bool) -> None:
        """Close the database at the end of the recorder.

        Args:
            works: True unless an error of the database is open.
        """
