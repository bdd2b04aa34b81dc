"""The calendar clock of whole processes, which a test sets: libfaketime below Python and SQLite.

The monotonic clock stays as it is, as it does when the clock of a machine is set.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Sequence

_SUPPORT = Path(__file__).parent
LIBRARY = next(Path("/usr/lib").glob("*/faketime/libfaketimeMT.so.1"), None)
MISSING = "libfaketime is not installed (Debian: faketime)"
needs_faketime = pytest.mark.skipif(LIBRARY is None, reason=MISSING)

SUBMIT = """
import json, sys
from gigq import Job, JobQueue
from support import jobs
path, specs = sys.argv[1], json.loads(sys.argv[2])
given = [Job(s["params"]["job"], getattr(jobs, s["function"]), s["params"], **s["options"])
         for s in specs]
print(json.dumps(JobQueue(path).submit_many(given)))
"""


class FakeClock:
    """A calendar clock for processes with its environment.

    Args:
        folder: where the file with its offset is.
    """

    def __init__(self, folder: Path) -> None:
        self._file = folder / "faketime"
        self.put(0)

    @property
    def environment(self) -> dict[str, str]:
        """The variables of a process with this clock."""
        return {
            "LD_PRELOAD": str(LIBRARY),
            "FAKETIME_TIMESTAMP_FILE": str(self._file),
            "FAKETIME_NO_CACHE": "1",
            "FAKETIME_DONT_FAKE_MONOTONIC": "1",
            "NO_FAKE_STAT": "1",
            "PYTHONPATH": os.pathsep.join(map(str, (_SUPPORT / "faketime_sleep", _SUPPORT.parent))),
        }

    def put(self, seconds: float) -> None:
        """Set the clock so many seconds off the true time."""
        whole = self._file.with_suffix(".new")
        whole.write_text(f"{seconds:+f}\n")
        whole.replace(self._file)

    def submit(self, daemon: Any, *specs: tuple[str, str, dict[str, Any]]) -> list[str]:
        """Submit functions of `support.jobs` in a process with this clock; the ids.

        Args:
            daemon: the daemon.
            specs: the function, the key and the options of each job; `with` has more parameters.
        """
        return self._run(daemon, [_spec(daemon, *spec) for spec in specs])

    def _run(self, daemon: Any, specs: Sequence[dict[str, Any]]) -> list[str]:
        command = [sys.executable, "-c", SUBMIT, str(daemon.database), json.dumps(specs)]
        environment = {**daemon.environment, **self.environment}
        done = subprocess.run(command, env=environment, check=True, capture_output=True)
        ids: list[str] = json.loads(done.stdout)
        for job_id, spec in zip(ids, specs, strict=True):
            daemon.submitted[job_id] = spec["params"]["job"]
        return ids


def _spec(daemon: Any, function: str, key: str, options: dict[str, Any]) -> dict[str, Any]:
    given = dict(options)
    params = {"ledger": str(daemon.ledger), "job": key, **given.pop("with", {})}
    return {"function": function, "params": params, "options": given}
