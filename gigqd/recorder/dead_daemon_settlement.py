"""Cleanup after another daemon or worker on the database that died: processes, then jobs."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from gigqd import logs
from gigqd.process.orphan_cleanup import tree_kill_of_run

if TYPE_CHECKING:
    from collections.abc import Callable

    from gigqd.process.kill_tree import TreeKill
    from gigqd.recorder.dead_worker_settlement import Settlement

log = logs.get_logger(__name__)

_CHECK_INTERVAL = 2.0
_STEP_AGAIN = 0.05
_PAUSE = 0.01


class DeadDaemonSettlement:
    """The settlement of dead runs, each once no process of the run is left.

    While a process of another account is left, which may not be killed, its run is not settled: the
    process may still work. It is logged and reported, and searched again.

    Args:
        home_of_run: returns the id of the database in the tags of a run's processes.
        settling: finds and settles the open executions of dead runs.
        report: sends a message to the supervisor.
    """

    def __init__(
        self,
        home_of_run: Callable[[str], str],
        settling: Settlement,
        report: Callable[[dict[str, Any]], None],
    ) -> None:
        self._home_of_run = home_of_run
        self._settlement = settling
        self._report = report
        self._treekills: dict[str, TreeKill] = {}
        self._check_at = 0.0
        self._reported: frozenset[int] = frozenset()

    def settle_if_due(self) -> None:
        """Call `settle_dead_runs`, if it is due."""
        if time.monotonic() >= self._check_at:
            self.settle_dead_runs()

    def settle_dead_runs(self, patience: float = 0.0) -> int:
        """Find dead runs, kill their remaining processes and settle their executions.

        Args:
            patience: seconds to go on killing, where one step is not enough.

        Returns:
            The number of settled executions; none of a run while one of its processes is left.

        Raises:
            StoreError: the database cannot be used.
        """
        now = time.monotonic()
        self._check_at = now + _CHECK_INTERVAL
        self._treekills = {
            run: self._treekills.get(run) or tree_kill_of_run(run, self._home_of_run(run))
            for run in self._settlement.dead_runs()
        }
        ended = [run for run, one in self._treekills.items() if _ended(one, now + patience)]
        killed = sum(self._treekills.pop(run).killed for run in ended)
        if killed:
            log.warning("orphans_killed", killed=killed)
        left = self._treekills.values()
        if not all(one.denied for one in left):
            self._check_at = now + _STEP_AGAIN
        self._note(frozenset[int]().union(*(one.denied for one in left)))
        settled = self._settlement.settle_runs(frozenset(ended)) if ended else 0
        return settled + self._settlement.overdue()

    def _note(self, denied: frozenset[int]) -> None:
        """Log and report the processes that may not be killed, when they have changed."""
        if denied == self._reported:
            return
        if denied - self._reported:
            log.error("dead_run_still_works", pids=sorted(denied))
        self._reported = denied
        self._report({"still_works": sorted(denied)})


def _ended(treekill: TreeKill, until: float) -> bool:
    while not (ended := treekill.step()) and not treekill.denied and time.monotonic() < until:
        time.sleep(_PAUSE)
    return ended
