"""One performance from the command line to the exit code, cleaned up in any case."""

from __future__ import annotations

import argparse
import os
import shutil
import sys
import tempfile
from pathlib import Path

from backstage.audit import Check, equal, table
from backstage.daemon import DemoFailedError
from backstage.interruption import InterruptedDemoError, Interruption
from backstage.living_processes import left_in
from backstage.play import Demo
from gigq import close_connections

FAILED = 1


def main() -> int:
    """Perform the demo.

    Returns:
        0 when every check passed, 1 when not, 128 and the number of the signal that ended it.
    """
    options = _options()
    interruption = Interruption()
    folder = Path(tempfile.mkdtemp(prefix="gigq-demo-")).resolve()
    try:
        checks = _perform(Demo(folder, interruption, options))
    except InterruptedDemoError as error:
        print(f"\n{error}; nothing is left behind")
        return 128 + error.number
    except DemoFailedError as error:
        print(f"\ndemo: {_whole_story(error)}", file=sys.stderr)
        return FAILED
    except BrokenPipeError:
        # The reader has closed the pipe; the interpreter must not flush the rest either.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return FAILED
    return _conclude(checks)


def _perform(demo: Demo) -> list[Check]:
    """Perform, and clean up in any case."""
    checks: list[Check] = []
    try:
        checks += demo.run()
        checks.append(equal("processes left behind", 0, len(left_in(demo.folder))))
    finally:
        _clean_up(demo, keep_log=_is_failure(checks, sys.exception()))
    return [*checks, equal("files left behind", 0, int(demo.folder.exists()))]


def _clean_up(demo: Demo, *, keep_log: bool) -> None:
    try:
        demo.daemon.end()
    finally:
        close_connections()
        if keep_log and demo.daemon.log.exists():
            _keep(demo.daemon.log)
        shutil.rmtree(demo.folder)


def _whole_story(error: DemoFailedError) -> str:
    """What went wrong, and before it what it went wrong in the cleaning up after."""
    before = error.__context__
    return f"{before}\ndemo: {error}" if isinstance(before, DemoFailedError) else str(error)


def _conclude(checks: list[Check]) -> int:
    wrong = [check.what.strip() for check in checks if not check.ok]
    print(f"\n{table(checks)}\n")
    if wrong:
        print(f"FAILED: {', '.join(wrong)}")
        return FAILED
    print("Every check passed.")
    return 0


def _is_failure(checks: list[Check], error: BaseException | None) -> bool:
    if error is not None:
        return not isinstance(error, InterruptedDemoError)
    return not all(check.ok for check in checks)


def _keep(log: Path) -> None:
    """Keep the daemon's log after a failure."""
    handle, kept = tempfile.mkstemp(prefix="gigq-demo-", suffix=".log")
    with os.fdopen(handle, "wb") as file:
        file.write(log.read_bytes())
    print(f"\nThe daemon's log is kept: {kept}", file=sys.stderr)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="gigqd does its whole job on real files.")
    parser.add_argument("--small", action="store_true", help="index four packages only")
    parser.add_argument(
        "--miscount",
        type=int,
        default=0,
        metavar="N",
        help="have the demo expect N functions too many, to see it fail",
    )
    return parser.parse_args()
