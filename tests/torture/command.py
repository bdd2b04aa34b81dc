"""What the commands that make a run have in common: options, directory, and how they end."""

from __future__ import annotations

import argparse
import random
import shutil
import signal
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from torture.run import Course
    from torture.violations import Violation

_MOST_SHOWN = 40
GOOD = "OK: nothing lost, doubled, overlapping, phantom, early, over-tried or left behind"


def parser(program: str, description: str | None) -> argparse.ArgumentParser:
    """Return the parser of the options that every run has."""
    made = argparse.ArgumentParser(prog=program, description=description)
    made.add_argument("--duration", type=float, default=60.0, help="seconds of faults (60)")
    made.add_argument("--seed", type=int, default=random.randrange(2**31), help="replays a plan")
    made.add_argument("--home", help="a directory to work in; one of its own by default")
    made.add_argument("--keep", action="store_true", help="keep the directory of a good run too")
    return made


def prepare(options: argparse.Namespace) -> Path:
    """Make the directory of the run, and let SIGTERM end it in order."""
    signal.signal(signal.SIGTERM, _leave)
    home = Path(options.home or tempfile.mkdtemp(prefix="gigq-torture-"))
    home.mkdir(exist_ok=True)
    say(f"torture: seed {options.seed}, {options.duration:g} s of faults, in {home}")
    return home


def finish(run: Course, figures: Callable[[], list[str]], keep: bool, replay: str) -> int:
    """Make the run and print how it ended.

    Args:
        run: the run.
        figures: makes the lines with what was counted.
        keep: whether the directory of a good run is kept, too.
        replay: the command that makes the faults again.

    Returns:
        The exit code: 0 when nothing was wrong, 1 otherwise.
    """
    began = time.monotonic()
    violations = run.go()
    if violations:
        (run.home / "database").mkdir(exist_ok=True)
        run.database.keep(run.home / "database")
    say(*figures(), f"took {time.monotonic() - began:.0f} s in all")
    if violations:
        say(*_shown(violations), f"kept: {run.home}", f"replay the plan: {replay}")
        return 1
    say(GOOD)
    if not keep:
        shutil.rmtree(run.home, ignore_errors=True)
    return 0


def say(*lines: str) -> None:
    """Print lines at once."""
    for line in lines:
        sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def _shown(violations: list[Violation]) -> list[str]:
    shown = [f"VIOLATION {violation}" for violation in violations[:_MOST_SHOWN]]
    return [*shown, f"{len(violations)} violations, {len(shown)} shown"]


def _leave(_number: int, _frame: object) -> None:
    raise KeyboardInterrupt
