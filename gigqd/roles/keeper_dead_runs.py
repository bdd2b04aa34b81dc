"""Another daemon or worker on the same database that died: its processes end, its jobs go on."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gigqd import logs
from gigqd.sweep import leftovers_of
from gigqd.tag import home_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from gigqd.roles.keeper_settling import Settling
    from gigqd.treekill import TreeKill

log = logs.get_logger("gigqd.keeper")

_LOOK_EVERY = 2.0
_STEP_AGAIN = 0.05
_PAUSE = 0.01


class DeadRuns:
    """Settles what died with another run, once no process of it is left.

    A process that may not be ended, one of another account, keeps what its run has open from being
    settled: it may still be at work. It is logged and reported, and looked for again.

    Args:
        path: the database file.
        run: the daemon's own run.
        settling: finds the open executions of dead runs, and settles them.
        report: sends a message to the supervisor.
    """

    def __init__(
        self, path: str, run: str, settling: Settling, report: Callable[[dict[str, Any]], None]
    ) -> None:
        self._path = path
        self._run = run
        self._settling = settling
        self._report = report
        self._runs: frozenset[str] = frozenset()
        self._treekill: TreeKill | None = None
        self._look_at = 0.0
        self._reported: frozenset[int] = frozenset()

    def go(self) -> None:
        """Look whether another run has died, when that is due; see `look`."""
        if time.monotonic() >= self._look_at:
            self.look()

    def look(self, patience: float = 0.0) -> int:
        """Look whether another run has died, and carry on with ending what is left of it.

        Args:
            patience: for how many seconds to carry on, where one step is not enough.

        Returns:
            How many executions were settled; none while one of its processes is left.

        Raises:
            StoreError: the database cannot be used.
        """
        now = time.monotonic()
        self._look_at = now + _LOOK_EVERY
        if self._treekill is None:
            # Only these are settled below: one that dies from now on has not been looked at.
            self._runs = self._settling.dead_runs()
            if not self._runs:
                return 0
            self._treekill = leftovers_of(Path(self._path), home_of(self._path), self._run)
        if not self._ended(self._treekill, now + patience):
            self._look_at = now + (_LOOK_EVERY if self._treekill.denied else _STEP_AGAIN)
            self._note(frozenset(self._treekill.denied))
            return 0
        killed, self._treekill = self._treekill.killed, None
        if killed:
            log.warning("leftover_killed", killed=killed)
        self._note(frozenset())
        return self._settling.settle_runs(self._runs)

    def _ended(self, treekill: TreeKill, until: float) -> bool:
        while not (ended := treekill.step()) and not treekill.denied and time.monotonic() < until:
            time.sleep(_PAUSE)
        return ended

    def _note(self, denied: frozenset[int]) -> None:
        """Log and report the processes that may not be ended, when they are others than before."""
        if denied == self._reported:
            return
        if denied - self._reported:
            log.error("dead_run_still_works", pids=sorted(denied))
        self._reported = denied
        self._report({"still_works": sorted(denied)})
