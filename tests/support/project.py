"""A project as a person has it: a folder with a configuration file, and the `gigqd` command."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import TYPE_CHECKING, Any

from support import fork_server
from support.configs import clean_environment, to_toml
from support.daemon import STARTS
from support.other_user import SEARCH_PATH

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

_SETTINGS = {"queue.database": "jobs.db", "pools.default.size": 1}


class Project:
    """A folder with a configuration file that sets no runtime directory.

    Args:
        home: the folder.
        settings: dotted keys of the configuration.
        become: a command that runs another one as another account, and its interpreter.
    """

    def __init__(
        self,
        home: Path,
        settings: Mapping[str, Any] | None = None,
        *,
        become: tuple[str, ...] = (),
        python: str = sys.executable,
    ) -> None:
        home.mkdir(exist_ok=True)
        self.home = home
        self.file = home / "gigq.toml"
        self.database = home / "jobs.db"
        self._become = [*become, python]
        self._settings = dict(_SETTINGS)
        self.configure(settings or {})

    def configure(self, settings: Mapping[str, Any]) -> None:
        """Write the configuration file anew."""
        self._settings.update(settings)
        self.file.write_text(to_toml(self._settings))

    def gigqd(
        self,
        *words: str,
        file: Path | None = None,
        become: bool = True,
        **environment: str,
    ) -> subprocess.CompletedProcess[str]:
        """Run a `gigqd` command of this project.

        Args:
            words: the command and its options.
            file: the configuration file; the project's own when it is not given.
            become: whether it is run as the project's account, when that is another one.
            environment: further variables.
        """
        start = self._become if become else self._become[-1:]
        if start == [sys.executable]:
            return fork_server.run(
                "daemon" if STARTS.intersection(words) else "gigqd",
                ["--config", str(file or self.file), *words],
                folder=self.home,
                environment={**clean_environment(), **environment},
                timeout=60,
            )
        return subprocess.run(
            [*start, "-m", "gigqd", "--config", str(file or self.file), *words],
            env={**clean_environment(), "PYTHONPATH": SEARCH_PATH, **environment},
            cwd=self.home,
            capture_output=True,
            text=True,
            timeout=60,
        )

    def start(self, **environment: str) -> int:
        """Start the daemon; its process id."""
        started = self.gigqd("start", "--json", **environment)
        assert started.returncode == 0, started
        return int(json.loads(started.stdout)["pid"])

    def pid(self, **options: Any) -> int | None:
        """The process of the daemon that `gigqd status` shows; None when it shows none."""
        shown = self.gigqd("status", "--json", "--timeout", "60", **options)
        pid = json.loads(shown.stdout).get("pid") if shown.returncode == 0 else None
        return pid if pid is None else int(pid)
