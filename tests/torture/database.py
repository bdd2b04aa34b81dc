"""The database of a run, as the run itself uses it, and what other programs do to it."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple

from support.configs import clean_environment

from gigqd.process.process_tag import home_of

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from torture.history import Records
    from torture.notes import Notes
    from torture.plan import Fault

    Later = Callable[[float, Callable[[], None]], None]

TESTS = Path(__file__).resolve().parents[1]
ENVIRONMENT = clean_environment() | {"PYTHONPATH": f"{TESTS}:{TESTS.parent}"}
"""The environment of every process that the run starts."""


class _Program(NamedTuple):
    """Another program at work on the database.

    Attributes:
        process: its process.
        name: what it does.
        must_succeed: whether it is waited for at the end, and an exit code besides 0 is wrong.
        settles: seconds after its end until the database is as before.
    """

    process: subprocess.Popen[bytes]
    name: str
    must_succeed: bool
    settles: float


class Database:
    """What a run knows of its database; a subclass for each kind.

    Attributes:
        address: what the configuration and the submitters name.
        deck: how often each fault is in the deck of the plan.
        looks: the commands with which another account looks at it.
        remarks: what this run cannot do to it, as sentences for the report.
    """

    deck: ClassVar[Mapping[tuple[str, str], int]]
    looks: ClassVar[tuple[tuple[str, ...], ...]] = ()

    def __init__(self, address: str, notes: Notes) -> None:
        self.address = address
        self.remarks: list[str] = []
        self._notes = notes
        self._programs: list[_Program] = []
        self._clear_since = 0.0

    # --- faults ----------------------------------------------------------------------------------

    def is_possible(self, fault: Fault) -> bool:
        """Whether a fault of it can be played now; else it has to wait."""
        return True

    def play(self, fault: Fault, later: Later) -> None:
        """Do what a fault says; `later` is called with what is to be undone, and when."""
        raise NotImplementedError

    def tend(self) -> None:
        """Look which of the other programs have ended."""
        for program in [one for one in self._programs if one.process.poll() is not None]:
            self._end(program)

    def undo(self) -> None:
        """End all other programs, those that must succeed by themselves."""
        for program in list(self._programs):
            if not program.must_succeed:
                program.process.kill()
            self._end(program)

    def disturbed_since(self, moment: float) -> bool:
        """Whether something was in the way of its users at some time since a moment."""
        return bool(self._programs) or self._clear_since > moment

    def _start(
        self, name: str, *arguments: str, must_succeed: bool = False, settles: float = 0.0
    ) -> None:
        """Start a program of this package."""
        process = self._popen(
            [sys.executable, "-m", *arguments],
            env=ENVIRONMENT,
            stdin=subprocess.DEVNULL,
            stderr=None if must_succeed else subprocess.DEVNULL,
        )
        self._programs.append(_Program(process, name, must_succeed, settles))

    def _popen(self, command: list[str], **options: Any) -> subprocess.Popen[bytes]:
        return subprocess.Popen(command, **options)

    def _runs(self, *names: str) -> bool:
        return any(program.name in names for program in self._programs)

    def _end(self, program: _Program) -> None:
        code = program.process.wait()
        self._programs.remove(program)
        if code and program.must_succeed:
            self._notes.wrong("command", f"the {program.name} ended with {code}")
        self._clear_since = max(self._clear_since, time.monotonic() + program.settles)

    # --- looking ---------------------------------------------------------------------------------

    def place_of(self, runtime_dir: Path) -> Path:
        """The path beside which a daemon with this runtime directory keeps its locks."""
        raise NotImplementedError

    def marks_at(self, place: Path) -> set[str]:
        """What processes have in their tags now whose daemon has this place."""
        return {home_of(place)}

    def let_others_read(self) -> None:
        """Let other accounts read it."""

    def files(self) -> list[Path]:
        """Its files, which must not be another account's."""
        return []

    def read(self, *, check: bool = True) -> Records | None:
        """Everything in it; None when it cannot be read.

        Args:
            check: whether to check the database itself, too.
        """
        raise NotImplementedError

    def left_by_a_stop(self) -> list[str]:
        """What an orderly stop should not have left."""
        raise NotImplementedError

    def keep(self, folder: Path) -> None:
        """Copy it into a folder, because `close` deletes it."""
        raise NotImplementedError

    def close(self) -> None:
        """Remove what is not in the directory of the run."""
