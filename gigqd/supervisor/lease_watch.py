"""The end of the daemon's lease: before it, claims pause and all running jobs are ended.

Other hosts run the daemon's jobs again once its lease is over. The recorder writes the lease's end
on the scoreboard. The supervisor, which needs no database for this, acts on it also when the
recorder hangs, and when the host itself was stopped for some time: then the recorder may have a new
lease before the supervisor looks, so the number of the lease counts, too.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from gigq.model.cause import Cause
from gigq.model.lease import Lease
from gigqd import logs
from gigqd.ipc.scoreboard import Activity
from gigqd.linux import syscalls
from gigqd.process.process_tag import tags_of

if TYPE_CHECKING:
    from gigqd.ipc.scoreboard import Scoreboard
    from gigqd.process.child import Child
    from gigqd.supervisor.children import Children

log = logs.get_logger(__name__)

_PAUSE_CLAIMS_AT = 6
_END_JOBS_AT = 12
_LONGEST_SLEEP = 0.5  # a suspended host does not notice how long it has slept


class LeaseWatch:
    """The supervisor's watch over the lease.

    Args:
        board: the scoreboard, with the lease.
        children: the children.
        length: the length of the lease in seconds.

    Attributes:
        is_over: the lease is over, or nearly: nothing may be claimed.
    """

    def __init__(self, board: Scoreboard, children: Children, length: float) -> None:
        self._board = board
        self._children = children
        self._length = length
        self.is_over = False

    @property
    def reason(self) -> str | None:
        """The reason why nothing is claimed; None while the lease goes on."""
        if not self.is_over:
            return None
        return (
            "the lease could not be renewed, so other hosts may run this daemon's jobs; it claims "
            "none until the database can be reached again"
        )

    def step(self, now: float) -> None:
        """Pause claims and end jobs, as far as the lease is over.

        Args:
            now: the time, in seconds of the monotonic clock.
        """
        lease = Lease(*self._board.lease)
        if not lease.number:
            return
        left = lease.left
        self._note(is_over=left <= self._length / _PAUSE_CLAIMS_AT)
        self._end_jobs(now, lease.number if left > self._length / _END_JOBS_AT else None)

    def next_step(self, now: float) -> float:
        """Return when `step` is due again, in seconds of the monotonic clock."""
        lease = Lease(*self._board.lease)
        if not lease.number:
            return float("inf")
        limit = _END_JOBS_AT if self.is_over else _PAUSE_CLAIMS_AT
        return now + min(max(0.05, lease.left - self._length / limit), _LONGEST_SLEEP)

    def _end_jobs(self, now: float, spared: int | None) -> None:
        """Kill the children that run a job, each with its whole process tree.

        So is one whose job has returned and left processes, while its outcome is not recorded:
        another host runs that job again. Without such processes the outcome may still count.

        Args:
            now: the time, in seconds of the monotonic clock.
            spared: the number of the lease whose jobs may go on; None to end all. Those of an
                earlier lease are ended: it was over before the recorder renewed it.
        """
        for slot in self._children.slots.values():
            child = self._children.child_in(slot)
            if child is None or child.cell.claim_lease == spared:
                continue
            activity = child.cell.read().activity
            if activity is Activity.BUSY or (
                activity is Activity.SETTLING and self._has_descendants(child)
            ):
                self._children.kill(slot, Cause.LOST, now)

    def _has_descendants(self, child: Child) -> bool:
        """Return True while a process of a child's job lives, also one that init would adopt."""
        own = {one.pid for one in self._children.children()}
        adopted = (pid for pid in syscalls.own_children() if pid not in own)
        return bool(syscalls.children_of(child.pid)) or any(
            child.tag.matches(tags_of(pid)) for pid in adopted
        )

    def _note(self, *, is_over: bool) -> None:
        if is_over and not self.is_over:
            left = Lease(*self._board.lease).left
            log.error("lease_not_renewed", seconds_left=round(left, 3))
        elif self.is_over and not is_over:
            log.info("lease_renewed")
        self.is_over = is_over
