"""The gigqd under torture: configured, started in every way, watched, and found again."""

from __future__ import annotations

import json
import subprocess
import sys
from collections import Counter
from contextlib import suppress
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from support.configs import to_toml
from torture.database import ENVIRONMENT, TESTS
from torture.victims import Gone, Victim, is_tagged

from gigqd.cli.control_client import Client
from gigqd.config import DaemonConfig
from gigqd.errors import GigqdError
from gigqd.host.runtime_files import RuntimeFiles

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from torture.database import Database

_SETTINGS: dict[str, Any] = {
    "daemon.runtime_dir": "run",
    "log.file": "gigqd.log",
    "daemon.stop_timeout": "2s",
    "daemon.start_timeout": "20s",
    "code.python_path": [str(TESTS)],
    "pools.default.size": 4,
    "pools.default.queues": ["default"],
    "pools.default.timeout_grace": "500ms",
    "pools.default.hang_timeout": "2s",
    "pools.second.size": 1,
    "pools.second.queues": ["second", "default"],
    "pools.second.timeout_grace": "200ms",
    "pools.second.recycle_after_jobs": 10,
    "pools.second.nice": 5,
    "pools.many.queues": ["many"],
    "pools.many.timeout_grace": "200ms",
}
NEIGHBOUR: dict[str, Any] = {
    "daemon.name": "neighbour",
    "daemon.runtime_dir": "neighbour",
    "log.file": "neighbour.log",
    "pools.default.size": 2,
    "pools.second.size": 1,
}
"""What a second daemon on the same database has of its own."""

_VARIANTS: tuple[dict[str, Any], ...] = (
    {"pools.default.size": 4, "pools.second.size": 1},
    {"pools.default.size": 5, "pools.second.size": 2},
    {"pools.default.size": 3, "pools.second.recycle_after_jobs": 3},
    {"pools.default.timeout_grace": "300ms", "pools.default.recycle_after_jobs": 20},
    {"pools.default.recycle_after_age": "5s", "pools.default.keep_output": 0},
    {"pools.default.recycle_above_memory": "60MiB", "pools.second.memory_limit": "250MiB"},
)
_UP = ("running", "degraded")


class Daemon:
    """One gigqd, whichever of its processes is alive at the moment.

    Args:
        home: the run's directory.
        database: the queue.
        own: settings that it has otherwise than the daemon of a plain run.

    Attributes:
        place: the path beside which it keeps its locks and pipes.
        many: how many workers its third pool has, from the next `configure` on.
    """

    def __init__(
        self, home: Path, database: Database, own: Mapping[str, Any] = MappingProxyType({})
    ) -> None:
        self.home = home
        self.database = database
        self.many = 0
        self._settings = {"queue.database": database.address, **_SETTINGS, **own}
        self._own = own
        name = {"name": own["daemon.name"]} if "daemon.name" in own else {}
        self._config = home / f"{name.get('name', 'gigq')}.toml"
        self._slots: list[dict[str, Any]] = []
        place = home / self._settings["daemon.runtime_dir"]
        config = DaemonConfig(**name, runtime_dir=place, working_directory=home)
        self.place = database.place_of(place)
        self._marks: set[str] = set()
        self._environment = dict(ENVIRONMENT)
        self.runtime_files = RuntimeFiles(config)
        self.client = Client(self.runtime_files)
        self.log_path = home / self._settings["log.file"]
        self.runtime_files.directory.mkdir(mode=0o700)
        self.configure(0)

    def configure(self, variant: int, text: str = "") -> None:
        """Write the configuration, in one of its variants; `text` goes below as it is."""
        settings = {**self._settings, **_VARIANTS[variant % len(_VARIANTS)], **self._own}
        settings["pools.many.size"] = self.many
        self._config.write_text(to_toml(settings) + text)

    def popen(self, *arguments: str, config: Path | None = None) -> subprocess.Popen[bytes]:
        """Start a `gigqd` command; what it prints goes to the daemon's log.

        Args:
            arguments: the command and its options.
            config: another configuration file than the daemon's.
        """
        chosen = str(config or self._config)
        with self.log_path.open("ab") as log:
            return self._popen(
                [sys.executable, "-m", "gigqd", "--config", chosen, *arguments],
                env=self._environment,
                cwd=self.home,
                stdin=subprocess.DEVNULL,
                stdout=log if arguments == ("run",) else subprocess.PIPE,
                stderr=log if arguments == ("run",) else subprocess.STDOUT,
            )

    def _popen(self, command: list[str], **options: Any) -> subprocess.Popen[bytes]:
        return subprocess.Popen(command, **options)

    # --- looking ---------------------------------------------------------------------------------

    @property
    def marks(self) -> set[str]:
        """What its processes have in their tags; another text after a deletion of its files."""
        self._look_for_mark()
        return self._marks

    def _look_for_mark(self) -> None:
        self._marks |= self.database.marks_at(self.place)

    def is_up(self) -> bool:
        """Whether it answers that it runs."""
        with suppress(GigqdError):
            return bool(self.client.ask("status", within=0.3)["state"] in _UP)
        return False

    def status(self, within: float = 5.0) -> dict[str, Any] | None:
        """Its answer to `status`; None when it does not answer."""
        with suppress(GigqdError):
            answer = self.client.ask("status", within=within)
            self._look_for_mark()
            self._slots = answer["slots"]
            return answer
        return None

    def supervisor(self) -> Victim:
        """The process that holds the lock.

        Raises:
            Gone: no process does, or it is not certain which.
        """
        running = self.runtime_files.running()
        if running is None or running.pid is None:
            raise Gone("supervisor")

        def is_ours(pid: int) -> bool:
            return self.holder() == pid

        return Victim(running.pid, is_ours)

    def holder(self) -> int | None:
        """The process id of the running daemon; None when there is none."""
        with suppress(GigqdError):
            running = self.runtime_files.running()
            return running.pid if running else None
        return None

    def child(self, role: str, pick: float) -> Victim:
        """A worker, or the recorder, as the last status has them.

        Raises:
            Gone: there is none, or it is dead by now.
        """
        pids = [slot["pid"] for slot in self._slots if slot["role"] == role and slot["pid"]]
        if not pids:
            raise Gone(role)
        return self._victim(pids[int(pick * len(pids))])

    def idle_of_many(self) -> int:
        """Return how many workers of the third pool wait for a job, as the last status has it."""
        slots = [slot for slot in self._slots if slot["pool"] == "many"]
        return sum(slot["state"] == "idle" for slot in slots)

    def children(self) -> list[Victim]:
        """The workers and the recorder that the last status has, as far as they live."""
        found = []
        for pid in [slot["pid"] for slot in self._slots if slot["pid"]]:
            with suppress(Gone):
                found.append(self._victim(pid))
        return found

    def _victim(self, pid: int) -> Victim:
        """A child, by the number that the daemon has for it."""
        return Victim(pid, lambda pid: is_tagged(pid, self.marks))

    def log(self) -> list[dict[str, Any]]:
        """The lines of its log."""
        return [line for _, line in self._log() if line]

    def _log(self) -> Iterator[tuple[str, dict[str, Any]]]:
        """The text of each line of the log, and what it has; nothing when it is no JSON."""
        for text in self.log_path.read_text(errors="replace").splitlines():
            try:
                yield text, json.loads(text)
            except ValueError:
                yield text, {}

    def log_problems(self) -> list[str]:
        """Tracebacks of the daemon's own code in its log, and lines that are none; each once."""
        problems: Counter[str] = Counter()
        for text, line in self._log():
            if not line and not text.startswith("gigqd"):
                problems[f"no JSON: {text[:200]}"] += 1
            if "traceback" in line and str(line.get("logger")).startswith("gigqd."):
                frames = [one.strip() for one in str(line["traceback"]).splitlines()]
                problems[" | ".join([str(line["event"]), *frames[-4:]])] += 1
        return [f"{count} times {text}" for text, count in problems.items()]
