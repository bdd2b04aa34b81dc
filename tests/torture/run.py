"""One torture run from its first process to its result."""

from __future__ import annotations

import signal
import time
from collections import deque
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from torture import ledger
from torture.checker import check
from torture.crowd import Crowd
from torture.daemon import NEIGHBOUR, Daemon
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
    from torture.plan import Fault
    from torture.violations import Violation

_STEP = 0.02
_STARTS_WITHIN = 60.0
_SUBMITTERS_LEAVE_WITHIN = 60.0
_NEXT_ENDS_WITHIN = 120.0
_LOOK_EVERY = 0.5
_MOST_FAILED_STARTS = 40
"""In a row; a daemon that is killed while it starts, or finds the disk full, needs a few."""


class Hopeless(Exception):  # noqa: N818 - an outcome, not an error
    """The daemon does not start any more."""


class Course:
    """The course of a run: faults, an end without them, and the check.

    Args:
        home: an empty directory for all of its files.
        duration: for how many seconds faults are made.
        database: the queue.
        notes: what is counted, and what is wrong.

    Attributes:
        history: what the check has looked at.
        torn: how many lines of the ledger a kill has cut off.
    """

    def __init__(self, home: Path, duration: float, database: Database, notes: Notes) -> None:
        self.home = home
        self.duration = duration
        self.database = database
        self.notes = notes
        self.torn = 0
        self.history = History()
        self._crowd: Crowd
        self._daemons: list[Daemon] = []
        self._lives: list[Life] = []
        self._plans: list[tuple[deque[Fault], Faults]] = []

    @property
    def unplayed(self) -> int:
        """How many faults of the plan found no time."""
        return sum(len(planned) for planned, _ in self._plans)

    @property
    def has_other_accounts(self) -> bool:
        """Whether another account looks at the queue."""
        return self._plans[0][1].looks.are_possible

    def _add_plan(self, faults: Faults, plan: list[Fault]) -> None:
        self._plans.append((deque(plan), faults))
        with (self.home / "plan").open("a") as file:
            file.writelines(f"{fault}\n" for fault in plan)

    def _add_daemon(self, daemon: Daemon, faults: Faults, notes: Notes) -> Life:
        life = Life(daemon, notes, faults.disturbed_since)
        self._daemons.append(daemon)
        self._lives.append(life)
        return life

    def go(self) -> list[Violation]:
        """Make the run, and check it.

        Returns:
            Every broken promise.
        """
        try:
            self._begin()
            self._make_faults()
            self._calm_down()
            self._stop()
        except Hopeless:
            self.notes.wrong("daemon", f"{_MOST_FAILED_STARTS} starts in a row have failed")
        finally:
            self._end_everything()
        return self._check()

    # --- phases ----------------------------------------------------------------------------------

    def _begin(self) -> None:
        self._wait(self._all_are("up"), _STARTS_WITHIN, "the first start")

    def _make_faults(self) -> None:
        began = time.monotonic()
        while time.monotonic() < began + self.duration:
            self._tend(go_on=True)
            elapsed = time.monotonic() - began
            for planned, faults in self._plans:
                if planned and planned[0].at <= elapsed and faults.is_possible(planned[0]):
                    faults.play(planned.popleft())

    def _calm_down(self) -> None:
        """No more faults, no more jobs: all that can end does."""
        began = time.monotonic()
        self._undo()
        (self.home / "quiet").touch()
        self._wait(lambda: self._crowd.are_gone, _SUBMITTERS_LEAVE_WITHIN, "the submitters' end")
        self._wait(self._are_settled, _STARTS_WITHIN, "the last start")
        self._drain()
        self.notes.took("the end phase", time.monotonic() - began)

    def _stop(self) -> None:
        """An orderly stop leaves no process behind, and the database as it should be."""
        for life in self._lives:
            if not life.is_lost:
                life.stop(now=False, start="run", pause=float("inf"))
        self._wait(self._all_are("down"), _STARTS_WITHIN, "the stop")
        ledger.note(self.notes.ledger, "stopped")
        self._crowd.look_at_bystanders()
        for pid in tagged(self._marks):
            self.notes.wrong("survivor", f"process {pid} of a job is left: {_command_of(pid)}")
        for left in self.database.left_by_a_stop():
            self.notes.wrong("command", f"the stop has left {left}")

    def _end_everything(self) -> None:
        self._undo()
        for faults in self._all_faults:
            faults.looks.end()
        for life in self._lives:
            life.end()
        self._crowd.end()
        for pid in tagged(self._marks):
            with suppress(Gone):
                Victim(pid, lambda pid: is_tagged(pid, self._marks)).send(signal.SIGKILL)

    def _check(self) -> list[Violation]:
        lines, self.torn = ledger.read(self.notes.ledger)
        records = self.database.read() or Records(integrity=["the database cannot be read"])
        self.history = self._checked(
            History(
                lines, records.jobs, records.executions, records.integrity, records.foreign_keys
            )
        )
        for problem in [one for daemon in self._daemons for one in daemon.log_problems()]:
            self.notes.wrong("log", problem)
        return [*self.notes.problems, *check(self.history)]

    def _checked(self, history: History) -> History:
        """What of a history is checked."""
        return history

    # --- small steps -----------------------------------------------------------------------------

    def _tend(self, *, go_on: bool) -> None:
        for faults in self._all_faults:
            faults.tend()
        for life in self._lives:
            life.tend()
            if life.failures >= _MOST_FAILED_STARTS:
                raise Hopeless
        self._crowd.tend(go_on=go_on)
        time.sleep(_STEP)

    def _wait(
        self, condition: Callable[[], bool], within: float, what: str, pause: float = 0.0
    ) -> bool:
        """Tend all until a condition is true; return False when that took too long."""
        deadline = time.monotonic() + within
        while not condition():
            self._tend(go_on=False)
            time.sleep(pause)
            if time.monotonic() > deadline:
                self.notes.wrong("stuck", f"waited {within:g} s for {what}")
                return False
        return True

    def _drain(self) -> None:
        """Wait for the end of all jobs, as long as some end: a loaded machine takes longer."""
        left = None
        while left != 0 and self._wait(
            partial(self._has_changed, left), _NEXT_ENDS_WITHIN, "the end of a job", _LOOK_EVERY
        ):
            left = self._unfinished()

    def _has_changed(self, left: int | None) -> bool:
        return self._unfinished() not in (None, left)

    def _unfinished(self) -> int | None:
        """Return the number of jobs that can end and have not; None if it cannot be read."""
        records = self.database.read(check=False)
        if records is None:
            return None
        stories = History(jobs=records.jobs).stories()
        open_ = {row.id for row in records.jobs if row.status not in FINISHED}
        return len(open_ - waiting_for_ever(stories))

    @property
    def _all_faults(self) -> list[Faults]:
        return list(dict.fromkeys(faults for _, faults in self._plans))

    @property
    def _marks(self) -> set[str]:
        return {mark for daemon in self._daemons for mark in daemon.marks}

    def _undo(self) -> None:
        for faults in self._all_faults:
            faults.undo()

    def _are_settled(self) -> bool:
        return all(life.is_settled for life in self._lives if not life.is_lost)

    def _all_are(self, state: str) -> Callable[[], bool]:
        return lambda: all(life.state == state for life in self._lives)


class Run(Course):
    """A run of one host, with a daemon and a second one beside it.

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
        notes = Notes(home / "ledger")
        super().__init__(home, duration, _database(database, home, duration, notes), notes)
        self._crowd = Crowd(home, self.database.address, seed, submitters, notes)
        daemon = Daemon(home, self.database)
        self._faults = faults = Faults(daemon, self._crowd, notes)
        faults.life = self._add_daemon(daemon, faults, notes)
        neighbour = Daemon(home, self.database, NEIGHBOUR)
        faults.neighbour = self._add_daemon(neighbour, faults, notes)
        self._add_plan(faults, plan(seed, duration, self.database.deck))

    def _calm_down(self) -> None:
        self._undo()
        self._lose_neighbour()
        super()._calm_down()

    def _lose_neighbour(self) -> None:
        """Kill the second daemon for good: what it had begun is left to the first one."""
        life = self._faults.neighbour
        self._wait(lambda: life.is_settled, _STARTS_WITHIN, "the neighbour's last start")
        life.kill("run", float("inf"))


def _database(name: str, home: Path, duration: float, notes: Notes) -> Database:
    if name == "sqlite":
        return FileDatabase(home, duration, notes)
    from torture.server_database import ServerDatabase

    return ServerDatabase(notes, None if name == "postgres" else name)


def _command_of(pid: int) -> str:
    with suppress(OSError):
        return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode().strip()
    return "gone"
