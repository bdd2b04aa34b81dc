"""gigqd as an operator uses it: a configuration file, the command, and the log."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

EXAMPLES = Path(__file__).resolve().parent.parent

GRACE = 2.0

_CONFIG = """\
[daemon]
runtime_dir = "run"
stop_timeout = "10s"

[queue]
database = "jobs.db"

[code]
python_path = [{examples}]

[log]
file = "gigqd.log"
format = "json"
jobs_per_second = 0

[pools.default]
size = {workers}
timeout_grace = "{grace:g}s"
"""
_NOT_INHERITED = ("GIGQ", "NOTIFY_SOCKET", "WATCHDOG_", "INVOCATION_ID", "RUNTIME_DIRECTORY")
_ENDS_WITHIN = 60.0
_UP_WITHIN = 10.0
_LOOK_EVERY = 0.1


class DemoFailedError(Exception):
    """Something that the demo relies on does not work."""


class Daemon:
    """One gigqd whose files are all in one folder.

    Args:
        folder: an empty folder.
    """

    def __init__(self, folder: Path) -> None:
        self._workers = 0
        self.folder = folder
        self.database = folder / "jobs.db"
        self.log = folder / "gigqd.log"
        self.is_up = False
        self._config = folder / "gigq.toml"

    def configure(self, workers: int) -> None:
        """Write the configuration; a running daemon takes it with a reload."""
        examples = json.dumps(str(EXAMPLES))
        text = _CONFIG.format(examples=examples, workers=workers, grace=GRACE)
        self._config.write_text(text)
        self._workers = workers

    def start(self) -> str:
        """Start it detached; what the command said."""
        self.is_up = True
        return self._command("start")

    def reload(self) -> str:
        """Have it take the configuration, and wait for the new workers; what the command said.

        `--wait` would wait for the job as well that overruns.
        """
        said = self._command("reload")
        end = time.monotonic() + _UP_WITHIN
        while worker_count(self.status()) != self._workers and time.monotonic() < end:
            time.sleep(_LOOK_EVERY)
        return said

    def status(self) -> dict[str, Any]:
        """Everything it knows of itself."""
        answer: dict[str, Any] = json.loads(self._command("status", "--json"))
        return answer

    def describe(self) -> str:
        """The same for people."""
        return self._command("status")

    def stop(self) -> str:
        """Stop it in good order; what the command said."""
        said = self._command("stop")
        self.is_up = False
        return said

    def end(self) -> None:
        """Make sure that it is gone."""
        if not self.is_up:
            return
        try:
            self._command("stop", "--now")
        except DemoFailedError:
            self._command("stop", "--force")
        self.is_up = False

    def _command(self, *arguments: str) -> str:
        try:
            done = self._run(arguments)
        except subprocess.TimeoutExpired as error:
            raise DemoFailedError(f"gigqd {arguments[0]}: {error}") from error
        if done.returncode:
            said = (done.stderr or done.stdout).strip()
            raise DemoFailedError(f"gigqd {arguments[0]} ended with {done.returncode}: {said}")
        return done.stdout.strip()

    def _run(self, arguments: tuple[str, ...]) -> subprocess.CompletedProcess[str]:
        # In a session of its own: a Ctrl-C is for the demo, which then ends things in order.
        return subprocess.run(
            [sys.executable, "-m", "gigqd", "--config", str(self._config), *arguments],
            cwd=self.folder,
            env=_environment(),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=_ENDS_WITHIN,
            start_new_session=True,
            check=False,
        )


def worker_count(status: dict[str, Any]) -> int:
    """How many workers a status shows to be up, a reload's canary not counted."""
    return sum(_is_worker(slot) and slot["pid"] is not None for slot in status["slots"])


def pool_size(status: dict[str, Any]) -> int:
    """How many workers there are; one that has crashed is just being replaced."""
    return sum(map(_is_worker, status["slots"]))


def _is_worker(slot: dict[str, Any]) -> bool:
    return slot["role"] == "worker" and slot["slot"].rpartition("/")[2].isdigit()


def _environment() -> dict[str, str]:
    """No settings of another daemon, and no bytecode left among the examples."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith(_NOT_INHERITED)}
    columns = str(shutil.get_terminal_size().columns)
    return {**kept, "PYTHONDONTWRITEBYTECODE": "1", "COLUMNS": columns}
