"""The part of `JobQueue` that pauses queues and resumes them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gigq import job_queries
from gigq.connecting import Connecting
from gigq.model import served_queues
from gigq.model.served_queues import EVERY
from gigq.model.storable_text import storable
from gigq.store.verbs import pauses, settle_and_claim

if TYPE_CHECKING:
    from gigq.job_queries import Names


class Pausing(Connecting):
    """The methods of a queue that pause named queues, for all daemons and workers."""

    def pause(self, queue: Names = None) -> list[str]:
        """Pause named queues: no worker starts a job of them until `resume`. Running jobs go on.

        The pause is stored. A restart of the workers, or of their host, does not end it.

        Args:
            queue: a named queue, or a list of them; None for all queues.

        Returns:
            The queues that were not paused before; `"*"` stands for all.

        Raises:
            ValueError: no queue can have this name.
        """
        names = _checked(queue)
        return pauses.pause(self._database, [EVERY] if names is None else names)

    def resume(self, queue: Names = None) -> list[str]:
        """End pauses, and wake idle workers.

        A pause of all queues ends only without a name: `resume("mail")` leaves it.

        Args:
            queue: a named queue, or a list of them; None to end every pause.

        Returns:
            The queues that were paused; `"*"` stands for all.

        Raises:
            ValueError: no queue can have this name.
        """
        resumed = pauses.resume(self._database, _checked(queue))
        if resumed:
            # One for each queue: a worker that finds more jobs wakes the next one.
            self._wake(dict.fromkeys(settle_and_claim.queues_with_due_jobs(self._database), 1))
        return resumed

    def paused(self) -> dict[str, str]:
        """Return the paused queues.

        Returns:
            The times of the pauses, UTC in ISO format, by queue; `"*"` stands for all queues.
        """
        return pauses.paused(self._database)


def _checked(given: Names) -> tuple[str, ...] | None:
    names = job_queries.names(given)
    for name in names or ():
        if not (name and isinstance(name, str) and storable(name) == name):
            raise ValueError(f"no queue can have the name {name!r}")
        if problem := served_queues.problem_of_name(name):
            raise ValueError(problem)
    return names
