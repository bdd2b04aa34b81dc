"""Those around the daemon: the submitters, which are killed, and bystanders, which must live."""

from __future__ import annotations

import signal
import subprocess
import sys
from typing import TYPE_CHECKING

from torture.database import ENVIRONMENT

if TYPE_CHECKING:
    from pathlib import Path

    from torture.notes import Notes

_PACE = 6.0


class Crowd:
    """The submitters and the bystanders.

    Args:
        home: the directory of the run.
        address: the database that they submit to.
        seed: the run's seed.
        size: how many submitters.
        notes: what is counted.
        pace: submits a second of each submitter, on average.
        lengthy: the share of jobs that outlast the usual ones by far.
    """

    def __init__(
        self,
        home: Path,
        address: str,
        seed: int,
        size: int,
        notes: Notes,
        *,
        pace: float = _PACE,
        lengthy: float = 0.0,
    ) -> None:
        self._home = home
        self._arguments = [str(home), address]
        self._dice = [str(seed), str(pace), str(lengthy)]
        self._notes = notes
        self._bursts = 0
        self._lives = {f"s{number}": 0 for number in range(size)}
        self._submitters: dict[str, subprocess.Popen[bytes]] = {}
        self._bystanders = [self._bystander(), self._bystander("0123456789ab|run|default/0|1")]

    def tend(self, *, go_on: bool = True) -> None:
        """Start every submitter that is not there, as long as it is to go on."""
        for name, process in list(self._submitters.items()):
            if process.poll() is not None:
                del self._submitters[name]
                self._ended(name, process.returncode)
        for name in self._lives if go_on else ():
            if name not in self._submitters:
                self._lives[name] += 1
                self._submitters[name] = self._submitter(name, self._lives[name])

    @property
    def are_gone(self) -> bool:
        """Whether no submitter runs any more."""
        return not self._submitters

    def kill_one(self, pick: float) -> None:
        """SIGKILL one of the submitters: own children, so their numbers are theirs."""
        processes = list(self._submitters.values())
        if processes:
            self._notes.did("SIGKILL submitter")
            processes[int(pick * len(processes))].kill()

    def submit_at_once(self, count: int) -> None:
        """Start a process that submits as many jobs of one kind together, and ends."""
        self._bursts += 1
        name = f"burst{self._bursts}"
        self._submitters[name] = self._submitter(name, 1, str(count))

    def look_at_bystanders(self) -> None:
        """Those who have nothing to do with it must still be there."""
        for process in self._bystanders:
            if process.poll() is not None:
                text = f"process {process.pid} was ended by {process.returncode}"
                self._notes.wrong("bystander", text)

    def end(self) -> None:
        """End every process."""
        for process in [*self._submitters.values(), *self._bystanders]:
            process.kill()
            process.wait()

    def _ended(self, name: str, code: int) -> None:
        if code == -signal.SIGALRM:
            self._notes.did("submitter that killed itself within a submit")
        elif code not in (0, -signal.SIGKILL):
            text = f"{name} ended with {code}; see submitters.log"
            self._notes.wrong("submitter", text)

    def _submitter(self, name: str, number: int, *more: str) -> subprocess.Popen[bytes]:
        who = [*self._arguments, name, str(number), *self._dice]
        with (self._home / "submitters.log").open("ab") as log:
            return subprocess.Popen(
                [sys.executable, "-m", "torture.submitter", *who, *more],
                env=ENVIRONMENT,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )

    def _bystander(self, tag: str | None = None) -> subprocess.Popen[bytes]:
        """A process that no daemon may touch; perhaps with the tag of another database."""
        environment = ENVIRONMENT | ({"GIGQD_WORKER": tag} if tag else {})
        # It ends with this process, also when that is killed.
        command = ["setpriv", "--pdeathsig", "KILL", "sleep", "86400"]
        return subprocess.Popen(command, env=environment, start_new_session=True)
