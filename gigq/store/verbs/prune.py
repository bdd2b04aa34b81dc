"""Retention: deletion of finished jobs by age and by number, in small batches."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING, Any, NamedTuple

from gigq.model.job_status import JobStatus
from gigq.model.storable_text import storable_list
from gigq.store.dialect import SQLITE
from gigq.store.sqlite.vacuum import BatchSize, vacuum
from gigq.store.verbs.deadlock import repeated

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from gigq.store.database import Database, Row, Session

FINISHED = tuple(
    status.value
    for status in (
        JobStatus.COMPLETED,
        JobStatus.FAILED,
        JobStatus.TIMEOUT,
        JobStatus.CANCELLED,
    )
)

_FIRST = 32
_MOST = 512
_MOST_ON_SERVER = 8192
_LONGEST_ON_SERVER = 0.1
"""Seconds that the deletion of a batch may take where it locks the jobs of the batch only."""

_MANY = 1000


class Keep(NamedTuple):
    """The limits on the finished jobs of one status.

    Attributes:
        since: jobs that ended earlier are deleted; stored UTC text; None: no limit by age.
        most: number of jobs to keep, those stored last; None: no limit by number.
    """

    since: str | None = None
    most: int | None = None


class _Walk:
    """Progress through the finished jobs of one status, in the order in which they were stored.

    Attributes:
        status: the status.
        before: jobs that ended earlier are too old; None: no job is.
        beyond: rows up to this one are too many; 0: none is.
        after: the last row that was read.
    """

    def __init__(self, status: str, before: str | None, beyond: int) -> None:
        self.status = status
        self.before = before
        self.beyond = beyond
        self.after = 0


class Pruning:
    """One pass over the finished jobs, in batches that hold the write lock for a few ms at most.

    Parents of unfinished jobs are kept, since their results may still be read, and so are jobs
    with an open execution. The pass over a status ends at the first batch whose jobs were all
    created too late to be too old.

    Args:
        database: the database.
        policy: the limits by status.
        dry_run: True to count only.

    Attributes:
        pruned: number of deleted jobs so far, by status.

    Raises:
        ValueError: a status is not a finished one, or a limit is missing or negative.
    """

    def __init__(
        self, database: Database, policy: Mapping[str, Keep], *, dry_run: bool = False
    ) -> None:
        _check(policy)
        self.pruned: dict[str, int] = dict.fromkeys(policy, 0)
        self._database = database
        self._dry_run = dry_run
        self._left = list(policy.items())
        self._walk: _Walk | None = None
        self._deletion: _Deletion | _DeletionOnServer
        if database.dialect == SQLITE:
            self._deletion = _Deletion(database)
        else:
            self._deletion = _DeletionOnServer(database)

    def batch(self) -> bool:
        """Read one batch of jobs and delete those that are too old or too many.

        Returns:
            False when the pass is over.

        Raises:
            StoreError: this batch deleted nothing; the call may be repeated.
        """
        walk = self._walk or self._next_walk()
        if walk is None:
            return False
        size = self._deletion.size.number
        rows = self._database.all(
            "oldest_finished",
            {"status": walk.status, "after": walk.after, "limit": size},
        )
        chosen, is_over = _surplus(rows, walk)
        is_over = is_over or len(rows) < size
        if chosen and not self._take(walk.status, chosen):
            return True
        if is_over:
            self._walk = None
        else:
            walk.after = rows[-1]["row"]
        return not is_over or bool(self._left)

    def _next_walk(self) -> _Walk | None:
        if not self._left:
            return None
        status, keep = self._left.pop(0)
        beyond = None
        if keep.most is not None:
            beyond = self._database.one("latest_beyond", {"status": status, "kept": keep.most})
        self._walk = _Walk(status, keep.since, beyond["row"] if beyond else 0)
        return self._walk

    def _take(self, status: str, chosen: Sequence[Row]) -> bool:
        """Delete the jobs that are no parents; False when that must be tried again."""
        if self._dry_run:
            deleted: int | None = self._deletion.count(chosen)
        else:
            deleted = self._deletion.delete(status, chosen)
        self.pruned[status] += deleted or 0
        return deleted is not None


class _Deletion:
    """Deletion of jobs from a file, where the parents of unfinished jobs are read beforehand."""

    def __init__(self, database: Database) -> None:
        self.size = BatchSize(_FIRST, _MOST)
        self._database = database
        self._parents = _Parents(database)

    def count(self, chosen: Sequence[Row]) -> int:
        """Return how many of the jobs are no parents of unfinished ones."""
        self._parents.refresh()
        return len(self._without_parents(chosen))

    def delete(self, status: str, chosen: Sequence[Row]) -> int | None:
        """Delete them; return None when the parents must be read again first."""
        self._parents.refresh()
        with self._database.transaction(durable=False) as session:
            began = time.monotonic()
            if not self._parents.follow(session):
                return None
            gone = [{**row, "status": status} for row in self._without_parents(chosen)]
            deleted = session.many("prune_job", gone)
            session.many("prune_executions", gone)
            session.many("prune_edges", [row for row in gone if row["dependencies"] != "[]"])
        self.size.adapt(time.monotonic() - began)
        return deleted

    def _without_parents(self, chosen: Sequence[Row]) -> list[Row]:
        return [row for row in chosen if not self._parents.is_one(row["id"])]


class _DeletionOnServer:
    """Deletion of jobs from a PostgreSQL database.

    A transaction that stores or requeues a dependent locks its parents, too. So once the jobs of a
    batch are locked, no further unfinished job names them.
    """

    def __init__(self, database: Database) -> None:
        self.size = BatchSize(_FIRST, _MOST_ON_SERVER, _LONGEST_ON_SERVER)
        self._database = database

    @repeated
    def count(self, chosen: Sequence[Row]) -> int:
        """Return how many of the jobs are no parents of unfinished ones."""
        with self._database.read() as session:
            return len(_without_parents(session, chosen))

    @repeated
    def delete(self, status: str, chosen: Sequence[Row]) -> int:
        """Delete them and return their number."""
        with self._database.transaction(durable=False) as session:
            session.lock("jobs", {"ids": storable_list(row["id"] for row in chosen)})
            gone = json.dumps(_without_parents(session, chosen))
            began = time.monotonic()
            row = session.one("prune_jobs", {"status": status, "jobs": gone})
        self.size.adapt(time.monotonic() - began)
        return int(row["deleted"]) if row else 0


def _without_parents(session: Session, chosen: Sequence[Row]) -> list[Row]:
    ids = storable_list(row["id"] for row in chosen)
    parents = _ids(session.all("parents_among", {"ids": ids}))
    return [row for row in chosen if row["id"] not in parents]


class _Parents:
    """The parents of unfinished jobs: all as of one moment, and those of jobs stored since.

    New rows get higher numbers than the latest row while that row exists. So only the rows above
    it are read under the write lock, and all others without it.
    """

    def __init__(self, database: Database) -> None:
        self._database = database
        self._latest: Row | None = None
        self._named: set[str] = set()
        self._since: set[str] = set()

    def refresh(self) -> None:
        """Read all parents, unless those read before are still valid."""
        if self._latest is not None and len(self._since) < _MANY:
            return
        with self._database.read() as session:
            self._latest = session.one("latest_row")
            self._named = _ids(session.all("parents_of_unfinished", {"row": 0}))
            self._since = set()

    def follow(self, session: Session) -> bool:
        """Read the parents of jobs stored since; False when the latest row was deleted."""
        latest = self._latest
        if latest is None or session.one("is_still_there", latest) is None:
            self._latest = None
            return False
        self._since = _ids(session.all("parents_of_unfinished", {"row": latest["row"]}))
        return True

    def is_one(self, job_id: str) -> bool:
        """Return True when an unfinished job names this one."""
        return job_id in self._named or job_id in self._since


def prune(
    database: Database, policy: Mapping[str, Keep], *, dry_run: bool = False
) -> dict[str, int]:
    """Make a whole pass and return the number of deleted jobs, or of jobs to delete, by status.

    A file with many free pages is shortened afterwards.

    Raises:
        ValueError: as `Pruning`.
        StoreError: the rest of the pass was not done.
    """
    pruning = Pruning(database, policy, dry_run=dry_run)
    while pruning.batch():
        pass
    if not dry_run and database.dialect == SQLITE:
        vacuum(database)
    return pruning.pruned


def _ids(rows: Iterable[Row]) -> set[str]:
    return {row["id"] for row in rows}


def _surplus(rows: Sequence[Row], walk: _Walk) -> tuple[list[Row], bool]:
    """Return the rows that are too old or too many, and True when no more can follow.

    No more can follow once all rows of the batch were created too late to be old. One row is not
    enough: it may hold a time that another program wrote, or none.
    """
    before = walk.before
    chosen = [
        row for row in rows if row["row"] <= walk.beyond or _is_before(row["over_at"], before)
    ]
    return chosen, not any(
        row["row"] <= walk.beyond or _is_before(row["created_at"], before) for row in rows
    )


def _is_before(time: Any, before: str | None) -> bool:
    """Return True for an earlier stored time; foreign SQL may have stored another type."""
    return before is not None and isinstance(time, str) and time < before


def _check(policy: Mapping[str, Keep]) -> None:
    for status, keep in policy.items():
        if status not in FINISHED:
            known = ", ".join(FINISHED)
            raise ValueError(f"{status!r} jobs are not finished; name some of: {known}")
        if keep.since is None and keep.most is None:
            raise ValueError("everything would be kept; give an age or a number")
        if keep.most is not None and keep.most < 0:
            raise ValueError(f"{keep.most} jobs cannot be kept; give 0 or more")
