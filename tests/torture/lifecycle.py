"""The life of the daemon under torture: it is started, dies or is stopped, and is started again."""

from __future__ import annotations

import time
from contextlib import suppress
from dataclasses import dataclass
from signal import SIGKILL
from typing import TYPE_CHECKING

from torture.victims import Gone, Victim

from gigqd import exit_codes

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Callable
    from pathlib import Path

    from torture.daemon import Daemon
    from torture.notes import Notes

_UP_WITHIN = 45.0
_LOSES_WITHIN = 15.0
_COMMAND_WITHIN = 45.0
_AGAIN_AFTER = 0.3


@dataclass(frozen=True, slots=True)
class Answer:
    """How a command ended: its exit code, what it printed, and when it had begun."""

    name: str
    code: int
    output: str
    began: float


@dataclass(frozen=True, slots=True)
class _Command:
    name: str
    process: subprocess.Popen[bytes]
    began: float
    done: Callable[[Answer], None]


class Life:
    """Starts the daemon whenever it is down, and sees whether it dies of itself.

    Nothing here waits long: `tend` is called again and again.

    Args:
        daemon: the daemon.
        notes: what is counted, and what is wrong.
        disturbed_since: whether a lock or a full disk has been in the way since a moment.

    Attributes:
        state: down, starting, up, dying or stopping.
        supervisor: the process that runs; None when none does.
        failures: how many starts in a row have failed.
    """

    def __init__(
        self, daemon: Daemon, notes: Notes, disturbed_since: Callable[[float], bool]
    ) -> None:
        self.state = "down"
        self.supervisor: Victim | None = None
        self.failures = 0
        self._daemon = daemon
        self._notes = notes
        self._disturbed_since = disturbed_since
        self._processes: list[subprocess.Popen[bytes]] = []
        self._command: _Command | None = None
        self._expected = False
        self._start = "run"
        self._start_at = 0.0
        self._began = 0.0

    @property
    def is_settled(self) -> bool:
        """Whether it is up, alone, and no command is under way."""
        return self.state == "up" and self._command is None and len(self._processes) <= 1

    @property
    def is_lost(self) -> bool:
        """Whether it is down, or will be, and is not started again."""
        return self._start_at == float("inf")

    def tend(self) -> None:
        """Look at what has happened, and start it if it is down."""
        self._look_at_command()
        self._look_for_losers()
        if self.state in ("up", "dying"):
            self._look_for_death()
        elif self.state == "starting":
            self._look_for_start()
        elif self.state == "down" and not self._processes and time.monotonic() >= self._start_at:
            self._launch()

    # --- what is done to it ----------------------------------------------------------------------

    def kill(self, start: str, pause: float) -> None:
        """SIGKILL the supervisor, also one that is only just starting; it comes back after a pause.

        One that is being started by a launcher is left alone.
        """
        self._start, self._start_at = start, time.monotonic() + pause
        if self.supervisor is not None:
            self._expected = self.supervisor.send(SIGKILL)
            self.state = "dying"
        elif self.state == "starting" and self._processes:
            self._expected = True
            for process in self._processes:
                process.kill()

    def come_back(self) -> None:
        """End the pause after a kill or a stop."""
        self._start_at = time.monotonic()

    def stop(self, *, now: bool, start: str, pause: float) -> None:
        """`gigqd stop`; it comes back after a pause."""
        self.state = "stopping"
        self._start, self._start_at = start, time.monotonic() + pause
        self.command("stop", self._stopped, *(["--now"] if now else []))

    def command(
        self,
        name: str,
        done: Callable[[Answer], None],
        *arguments: str,
        config: Path | None = None,
    ) -> None:
        """Run a `gigqd` command, and hand its answer on when it has ended."""
        process = self._daemon.popen(name, *arguments, config=config)
        self._command = _Command(name, process, time.monotonic(), done)

    def expect(self, answer: Answer, code: int) -> None:
        """A command should have ended with a code, if nothing was in its way."""
        if answer.code == code:
            return
        if self._disturbed_since(answer.began):
            self._notes.did("command that was disturbed", command=answer.name, code=answer.code)
            return
        text = f"{answer.name} ended with {answer.code} instead of {code}: {answer.output}"
        self._notes.wrong("command", text)

    def end(self) -> None:
        """Leave nothing running, in every state."""
        if self._command is not None:
            self._command.process.kill()
            self._command.process.communicate()
        with suppress(Gone):
            self._daemon.supervisor().send(SIGKILL)
        for process in self._processes:
            process.kill()
            process.wait()

    # --- coming up -------------------------------------------------------------------------------

    def _launch(self) -> None:
        self.state, self._began, self._expected = "starting", time.monotonic(), False
        if self._start == "start":
            self.command("start", self._launched)
        else:
            count = 2 if self._start == "two" else 1
            self._processes = [self._daemon.popen("run") for _ in range(count)]
        self._notes.did(f"start by {self._start}")

    def _launched(self, answer: Answer) -> None:
        if answer.code != exit_codes.OK:
            self._failed_to_start([answer.code], answer.output)

    def _look_for_start(self) -> None:
        if self._daemon.is_up():
            with suppress(Gone):
                self.supervisor = self._daemon.supervisor()
                self.state, self.failures = "up", 0
                self._notes.took("a start", time.monotonic() - self._began)
            return
        codes = [process.poll() for process in self._processes]
        if self._processes and None not in codes:
            self._failed_to_start([code for code in codes if code is not None], "")
        elif time.monotonic() > self._began + _UP_WITHIN:
            self._notes.wrong("daemon", f"not up within {_UP_WITHIN:g} s")
            self.end()
            self._start_again()

    def _failed_to_start(self, codes: list[int], output: str) -> None:
        if not (self._expected or self._disturbed_since(self._began)):
            self._notes.wrong("daemon", f"a start ended with {codes}: {output}")
        self._notes.did("start that failed", codes=codes)
        self.failures += 1
        self._start_again()

    def _start_again(self) -> None:
        self.state, self._processes = "down", []
        self._start_at = max(self._start_at, time.monotonic() + _AGAIN_AFTER)

    def _look_for_losers(self) -> None:
        """Of two starts at once only one may win; the other says so and leaves."""
        if self.state not in ("up", "dying", "down"):
            return
        winner = self.supervisor.pid if self.supervisor else None
        for process in [p for p in self._processes if p.pid != winner]:
            code = process.poll()
            if code is None and time.monotonic() < self._began + _UP_WITHIN + _LOSES_WITHIN:
                continue
            if code is None:
                process.kill()
                process.wait()
            if code != exit_codes.ALREADY_RUNNING and not self._disturbed_since(self._began):
                self._notes.wrong("daemon", f"the second of two starts ended with {code}")
            self._processes.remove(process)

    # --- going down ------------------------------------------------------------------------------

    def _look_for_death(self) -> None:
        assert self.supervisor is not None
        if not self.supervisor.has_ended:
            return
        if not self._expected:
            codes = [p.wait() for p in self._processes if p.pid == self.supervisor.pid]
            self._notes.wrong("daemon", f"it ended by itself, exit code {codes or 'unknown'}")
        self._forget_supervisor()

    def _stopped(self, answer: Answer) -> None:
        self.expect(answer, exit_codes.OK)
        if self._daemon.holder() is not None and self.supervisor is not None:
            self._notes.did("stop that ended in a kill")
            self.supervisor.send(SIGKILL)
        self._forget_supervisor()

    def _forget_supervisor(self) -> None:
        assert self.supervisor is not None
        for process in [p for p in self._processes if p.pid == self.supervisor.pid]:
            process.wait()
            self._processes.remove(process)
        self.supervisor.close()
        self.supervisor, self.state = None, "down"

    # --- commands --------------------------------------------------------------------------------

    def _look_at_command(self) -> None:
        command = self._command
        if command is None:
            return
        code = command.process.poll()
        seconds = time.monotonic() - command.began
        if code is None and seconds < _COMMAND_WITHIN:
            return
        if code is None:
            command.process.kill()
            self._notes.wrong("command", f"{command.name} did not end in {_COMMAND_WITHIN:g} s")
        output, _ = command.process.communicate()
        self._command = None
        self._notes.took(f"gigqd {command.name}", seconds)
        text = (output or b"").decode(errors="replace").strip()
        command.done(Answer(command.name, command.process.returncode, text, command.began))
