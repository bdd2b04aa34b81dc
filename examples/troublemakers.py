"""Jobs that behave badly on purpose: they are what a supervisor is for."""

from __future__ import annotations

import ctypes
import resource
import subprocess
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

from gigq import Job

_LONG = "600"

OVERRUN_LIMIT = 1.0


def overrun(pids: str) -> None:
    """Run past any limit, deaf to being asked to end, with three child processes.

    One is a plain child. One has a session of its own. The last is an orphan in a session of its
    own: the process that started it has ended.

    Args:
        pids: the file to write the children's process ids to.
    """
    plain = subprocess.Popen(["sleep", _LONG])  # noqa: S607 - wherever it is
    apart = subprocess.Popen(["sleep", _LONG], start_new_session=True)  # noqa: S607
    Path(pids).write_text(f"{plain.pid} {apart.pid} {_orphan()}")
    while True:
        with suppress(BaseException):  # JobTimeout as well: only a kill is left
            time.sleep(1)


def segfault() -> None:
    """Read what is not there, in C: the whole worker process dies of it."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    ctypes.string_at(0)


def fail_twice(tally: str) -> str:
    """Fail at the first two attempts.

    Args:
        tally: the file in which it keeps count, since each attempt may be in another process.
    """
    with Path(tally).open("a+") as file:
        file.write("x")
        file.seek(0)
        attempt = len(file.read())
    if attempt <= 2:
        raise ConnectionError(f"no answer at attempt {attempt}")
    return f"answered at attempt {attempt}"


def all_three(folder: Path) -> dict[str, Job]:
    """One job of each kind, to be run before anything else; their files go into a folder."""
    common: dict[str, Any] = {"priority": 10}
    return {
        "overrun": Job(
            name="overrun",
            function=overrun,
            params={"pids": str(folder / "children.pids")},
            timeout=OVERRUN_LIMIT,
            max_attempts=1,
            **common,
        ),
        "segfault": Job(name="segfault", function=segfault, max_attempts=2, **common),
        "fail twice": Job(
            name="fail twice",
            function=fail_twice,
            params={"tally": str(folder / "attempts")},
            max_attempts=3,
            retry_delay=0.5,
            **common,
        ),
    }


def _orphan() -> int:
    """Start a process whose parent ends at once."""
    script = f"sleep {_LONG} >/dev/null 2>&1 & echo $!"
    done = subprocess.run(
        ["sh", "-c", script],  # noqa: S607
        start_new_session=True,
        capture_output=True,
        check=True,
    )
    return int(done.stdout)
