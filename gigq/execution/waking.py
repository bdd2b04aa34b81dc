"""Wakeups of the workers that a worker thread sends and takes."""

from __future__ import annotations

from collections import Counter
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from gigq.errors import StoreError
from gigq.store.verbs import settle_and_claim

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from gigq.store.backend import StoreHandle


class Waking:
    """The wakeups of one worker thread.

    A worker that was idle, or took several wakeups, wakes the next one for further jobs.

    Attributes:
        before_work: called before the first job after an idle time.
    """

    def __init__(self, store: StoreHandle) -> None:
        self.before_work: Callable[[], None] = _do_nothing
        self._store = store
        self._was_idle = True

    def note_idle(self) -> None:
        """Note that the thread found no job, or took wakeups that other workers may need."""
        self._was_idle = True

    def before_job(self, queues: tuple[str, ...] | None) -> None:
        """Wake the next worker before the first job after an idle time.

        The job is claimed already, so an error of the database must not keep it from running.
        """
        if self._was_idle:
            self._was_idle = False
            self.before_work()
            with suppress(StoreError):  # the next worker polls
                if settle_and_claim.anything_due(self._store.database, queues):
                    self._store.backend.notify_alike(queues)

    def wake(self, due: Sequence[str], claimed: Iterable[dict[str, Any]] = ()) -> None:
        """Wake idle workers for jobs that became due, except those that this one has claimed.

        Args:
            due: the queue of each job that became due.
            claimed: the rows of the jobs that this worker has claimed since.
        """
        if due:
            left = Counter(due) - Counter(row["queue"] for row in claimed)
            self._store.backend.notify(left)


def _do_nothing() -> None:
    pass
