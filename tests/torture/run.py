"""One torture run from its first process to its result."""

from __future__ import annotations

import signal
import time
from collections import deque
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from torture import ledger
from torture.checker import check
from torture.crowd import Crowd
from torture.daemon import Daemon
from torture.faults import Faults
from torture.file_database import FileDatabase
from torture.history import FINISHED, History, Records, waiting_for_ever
from torture.lifecycle import Life
from torture.notes import Notes
from torture.plan import plan
from torture.victims import Gone, Victim, is_tagged, tagged

if TYPE_CHECKING:
    from collections.abc import Callable

    from torture.database import Database
    from torture.violations import Violation

_STEP = 0.02
_STARTS_WITHIN = 60.0
_SUBMITTERS_LEAVE_WITHIN = 60.0
_DRAINS_WITHIN = 120.0
_LOOK_EVERY = 0.5
_MOST_FAILED_STARTS = 40
"""In a row; a daemon that is killed while it starts, or finds the disk full, needs a few."""


class Hopeless(Exception):  # noqa: N818 - an outcome, not an error
    """The daemon does not start any more."""


class Run:
    """One run.

    Args:
        home: an empty directory for all of its files.
        seed: what chance depends on.
        duration: for how many seconds faults are made.
        submitters: how many of them.
        database: "sqlite", "postgres", or the address of an empty schema of PostgreSQL.
    """

    def __init__(
        self, home: Path, seed: int, duration: float, submitters: int, database: str
    ) -> None:
        self.home = home
        self.duration = duration
        self.notes = Notes(home / "ledger")
        self.torn = 0
        self.history = History()
        self.unplayed = 0
        self.database = self._database(database)
        self._plan = deque(plan(seed, duration, self.database.deck))
        self._daemon = Daemon(home, self.database)
        self._crowd = Crowd(self._daemon, seed, submitters, self.notes)
        self._faults = Faults(self._daemon, self._crowd, self.notes)
        self._life = Life(self._daemon, self.notes, self._faults.disturbed_since)
        self._faults.life = self._life
        self._second = Daemon(home, self.database, neighbour=True)
        self._neighbour = Life(self._second, self.notes, self._faults.disturbed_since)
        self._faults.neighbour = self._neighbour
        (home / "plan").write_text("".join(f"{fault}\n" for fault in self._plan))

    @property
    def has_other_accounts(self) -> bool:
        """Whether another account looks at the queue."""
        return self._faults.looks.are_possible

    def go(self) -> list[Violation]:
        """Make the run, and check it.

        Returns:
            Every broken promise.
        """
        try:
            self._wait(lambda: self._life.state == "up", _STARTS_WITHIN, "the daemon's first start")
            self._make_faults()
            self._calm_down()
            self._stop()
        except Hopeless:
            self.notes.wrong("daemon", f"{_MOST_FAILED_STARTS} starts in a row have failed")
        finally:
            self._end_everything()
        return self._check()

    def _database(self, name: str) -> Database:
        if name == "sqlite":
            return FileDatabase(self.home, self.duration, self.notes)
        from torture.server_database import ServerDatabase

        return ServerDatabase(self.notes, None if name == "postgres" else name)

    # --- phases ----------------------------------------------------------------------------------

    def _make_faults(self) -> None:
        began = time.monotonic()
        while time.monotonic() < began + self.duration:
            self._tend(go_on=True)
            if self._is_next_due(time.monotonic() - began):
                self._faults.play(self._plan.popleft())
        self.unplayed = len(self._plan)

    def _is_next_due(self, elapsed: float) -> bool:
        return bool(
            self._plan and self._plan[0].at <= elapsed and self._faults.is_possible(self._plan[0])
        )

    def _calm_down(self) -> None:
        """No more faults, no more jobs: all that can end does."""
        began = time.monotonic()
        self._faults.undo()
        self._lose_neighbour()
        (self.home / "quiet").touch()
        self._wait(lambda: self._crowd.are_gone, _SUBMITTERS_LEAVE_WITHIN, "the submitters' end")
        self._wait(lambda: self._life.is_settled, _STARTS_WITHIN, "the daemon's last start")
        self._wait(self._is_drained, _DRAINS_WITHIN, "the end of all jobs", _LOOK_EVERY)
        self.notes.took("the end phase", time.monotonic() - began)

    def _lose_neighbour(self) -> None:
        """Kill the second daemon for good: what it had begun is left to the first one."""
        self._wait(lambda: self._neighbour.is_settled, _STARTS_WITHIN, "the neighbour's last start")
        self._neighbour.kill("run", float("inf"))

    def _stop(self) -> None:
        """An orderly stop leaves no process behind, and the database as it should be."""
        self._life.stop(now=False, start="run", pause=_STARTS_WITHIN)
        self._wait(lambda: self._life.state == "down", _STARTS_WITHIN, "the daemon's stop")
        ledger.note(self.notes.ledger, "stopped")
        self._crowd.look_at_bystanders()
        for pid in tagged(self._marks):
            self.notes.wrong("survivor", f"process {pid} of a job is left: {_command_of(pid)}")
        for left in self.database.left_by_a_stop():
            self.notes.wrong("command", f"the stop has left {left}")

    def _end_everything(self) -> None:
        self._faults.undo()
        self._faults.looks.end()
        self._life.end()
        self._neighbour.end()
        self._crowd.end()
        for pid in tagged(self._marks):
            with suppress(Gone):
                Victim(pid, lambda pid: is_tagged(pid, self._marks)).send(signal.SIGKILL)

    def _check(self) -> list[Violation]:
        lines, self.torn = ledger.read(self.notes.ledger)
        records = self.database.read() or Records(integrity=["the database cannot be read"])
        self.history = History(
            lines, records.jobs, records.executions, records.integrity, records.foreign_keys
        )
        for problem in [*self._daemon.log_problems(), *self._second.log_problems()]:
            self.notes.wrong("log", problem)
        return [*self.notes.problems, *check(self.history)]

    # --- small steps -----------------------------------------------------------------------------

    def _tend(self, *, go_on: bool) -> None:
        self._faults.tend()
        self._life.tend()
        self._neighbour.tend()
        if max(self._life.failures, self._neighbour.failures) >= _MOST_FAILED_STARTS:
            raise Hopeless
        self._crowd.tend(go_on=go_on)
        time.sleep(_STEP)

    def _wait(
        self, condition: Callable[[], bool], within: float, what: str, pause: float = 0.0
    ) -> None:
        deadline = time.monotonic() + within
        while not condition():
            self._tend(go_on=False)
            time.sleep(pause)
            if time.monotonic() > deadline:
                self.notes.wrong("stuck", f"waited {within:g} s for {what}")
                return

    def _is_drained(self) -> bool:
        records = self.database.read(check=False)
        if records is None:
            return False
        stories = History(jobs=records.jobs).stories()
        open_ = {row.id for row in records.jobs if row.status not in FINISHED}
        return open_ <= waiting_for_ever(stories)

    @property
    def _marks(self) -> set[str]:
        return self._daemon.marks | self._second.marks


def _command_of(pid: int) -> str:
    with suppress(OSError):
        return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode().strip()
    return "gone"
