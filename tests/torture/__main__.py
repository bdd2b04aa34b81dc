"""`python -m torture`: torture a gigqd for a while, and say whether it has kept its promises."""

from __future__ import annotations

import argparse
import random
import shutil
import signal
import sys
import tempfile
import time
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

from torture.report import figures
from torture.run import Run

if TYPE_CHECKING:
    from torture.violations import Violation

_MOST_SHOWN = 40


def main() -> int:
    """Make one run.

    Returns:
        The exit code: 0 when nothing was wrong, 1 otherwise.
    """
    options = _options()
    signal.signal(signal.SIGTERM, _leave)
    home = Path(options.home or tempfile.mkdtemp(prefix="gigq-torture-"))
    home.mkdir(exist_ok=True)
    _say(f"torture: seed {options.seed}, {options.duration:g} s of faults, in {home}")
    began = time.monotonic()
    run = Run(home, options.seed, options.duration, options.submitters, options.database)
    with closing(run.database):
        violations = run.go()
        if violations:
            (home / "database").mkdir(exist_ok=True)
            run.database.keep(home / "database")
    _say(*figures(run), f"took {time.monotonic() - began:.0f} s in all")
    if violations:
        _say(*_shown(violations), f"kept: {home}")
        plan = f"SEED={options.seed} DURATION={options.duration:g} DATABASE={options.database}"
        _say(f"replay the plan: make torture {plan}")
        return 1
    _say("OK: nothing lost, doubled, overlapping, phantom, early, over-tried or left behind")
    if not options.keep:
        shutil.rmtree(home, ignore_errors=True)
    return 0


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="torture", description=__doc__)
    parser.add_argument("--duration", type=float, default=60.0, help="seconds of faults (60)")
    parser.add_argument("--seed", type=int, default=random.randrange(2**31), help="replays a plan")
    parser.add_argument("--submitters", type=int, default=3, help="how many processes submit (3)")
    database = 'of the queue: "sqlite" (the default), "postgres", or the address of an empty schema'
    parser.add_argument("--database", default="sqlite", help=database)
    parser.add_argument("--home", help="a directory to work in; one of its own by default")
    parser.add_argument("--keep", action="store_true", help="keep the directory of a good run too")
    return parser.parse_args()


def _shown(violations: list[Violation]) -> list[str]:
    shown = [f"VIOLATION {violation}" for violation in violations[:_MOST_SHOWN]]
    return [*shown, f"{len(violations)} violations, {len(shown)} shown"]


def _leave(_number: int, _frame: object) -> None:
    raise KeyboardInterrupt


def _say(*lines: str) -> None:
    for line in lines:
        sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
