"""The real `gigq` command, run in a folder as a person there would."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from typing import IO, TYPE_CHECKING, Any

from support import fork_server

if TYPE_CHECKING:
    from pathlib import Path


@dataclass(frozen=True, slots=True)
class Shell:
    """Runs `gigq` in a folder, as a person there would.

    Args:
        folder: the folder.
        address: the address of a database server, as `$GIGQ_DB`; None for a file in the folder.
    """

    folder: Path
    address: str | None = None

    @property
    def database(self) -> str:
        """The database of the commands without `--db`."""
        return self.address or str(self.folder / "gigq.db")

    def run(
        self, *arguments: str, stdin: IO[str] | None = None, **environment: str
    ) -> subprocess.CompletedProcess[str]:
        """One command with its exit code and output."""
        return self.program("gigq", *arguments, stdin=stdin, **environment)

    def program(
        self, program: str, *arguments: str, stdin: IO[str] | None = None, **environment: str
    ) -> subprocess.CompletedProcess[str]:
        """The same of `gigq` or `gigqd`."""
        env = clean_environment(**self._environment | environment)
        if fork_server.serves(env):
            return fork_server.run(
                program, arguments, folder=self.folder, environment=env, stdin=stdin
            )
        return subprocess.run(
            [sys.executable, "-m", program, *arguments],
            cwd=self.folder,
            env=env,
            stdin=stdin or subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
        )

    def python(self, script: str) -> None:
        """Run a script there; it must succeed."""
        subprocess.run(
            [sys.executable, script],
            cwd=self.folder,
            env=clean_environment(**self._environment),
            check=True,
        )

    def out(self, *arguments: str, **environment: str) -> str:
        """What a command prints; it must succeed."""
        done = self.run(*arguments, **environment)
        assert (done.returncode, done.stderr) == (0, "")
        return done.stdout

    def json(self, *arguments: str) -> Any:
        """What a command answers with `--json`; it must succeed."""
        return json.loads(self.out(*arguments, "--json"))

    @property
    def _environment(self) -> dict[str, str]:
        return {"GIGQ_DB": self.address} if self.address else {}

    def submit(self, function: str = "shop.resize", *options: str) -> str:
        """The id of a new job."""
        if function == "shop.resize" and not any(o.startswith("file=") for o in options):
            options = ("-p", "file=cat.jpg", *options)
        return str(self.json("submit", function, "--name", "a job", *options)["id"])


def clean_environment(**given: str) -> dict[str, str]:
    """The environment without what would change the command's answers, and with what is given."""
    meddling = ("GIGQ", "NO_COLOR", "COLUMNS", "PYTHON")
    kept = {k: v for k, v in os.environ.items() if not k.startswith(meddling)}
    return kept | {"TZ": "UTC"} | given
