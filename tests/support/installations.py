"""Installations of the built wheel, and a small application to try each of them with."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from support.tree import ROOT
from support.waiting import wait_until

PYTHON = str(Path(getattr(sys, "_base_executable", sys.executable)))
"""The interpreter that environments are made with: the one below the test run's own."""

OFFLINE = {
    "PIP_NO_INDEX": "1",
    "PIP_DISABLE_PIP_VERSION_CHECK": "1",
    "PIP_ROOT_USER_ACTION": "ignore",
}
APP = "def double(number):\n    return 2 * number\n"
CONFIG = '[queue]\ndatabase = "jobs.db"\n[pools.default]\nsize = 1\n'


def run(
    *command: str | Path, folder: Path, environment: dict[str, str], fails: bool = False
) -> subprocess.CompletedProcess[str]:
    """Run a command, which must succeed or fail as expected."""
    done = subprocess.run(
        command,
        cwd=folder,
        env=environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=240,
    )
    assert bool(done.returncode) == fails, (command, done.returncode, done.stdout, done.stderr)
    return done


def plain_environment(**given: str | Path) -> dict[str, str]:
    """Return this process's environment without what belongs to the test run's own Python."""
    dropped = ("GIGQ", "PYTHON", "VIRTUAL_ENV", "PIP_", "UV_", "PIPX_", "COVERAGE", "XDG_")
    kept = {k: v for k, v in os.environ.items() if not k.startswith(dropped)}
    return kept | {name: str(value) for name, value in given.items()}


@dataclass(frozen=True, slots=True)
class Wheels:
    """A folder with the built wheel and the wheels that it needs.

    Attributes:
        folder: the folder.
        wheel: the file of gigqd.
    """

    folder: Path
    wheel: Path

    def pip_environment(self, **given: str | Path) -> dict[str, str]:
        """Return an environment in which pip uses these wheels and no index."""
        return plain_environment(**OFFLINE, PIP_FIND_LINKS=self.folder, **given)

    def make_venv(self, place: Path, *packages: str | Path, python: str = PYTHON) -> Path:
        """Make a virtual environment with the wheel or other packages, and return its bin/."""
        run(python, "-m", "venv", place, folder=place.parent, environment=plain_environment())
        self.pip(place / "bin", "install", *(packages or [self.wheel]))
        return place / "bin"

    def pip(self, scripts: Path, *words: str | Path) -> str:
        """Run the pip of an environment."""
        command = [scripts / "python", "-m", "pip", *words]
        return run(*command, folder=scripts, environment=self.pip_environment()).stdout


@dataclass(frozen=True, slots=True)
class Application:
    """A folder with a module and a configuration, and the commands that serve it.

    Attributes:
        home: the folder.
        gigq: the command `gigq`, as words.
        gigqd: the command `gigqd`, as words.
        environment: the environment of both.
    """

    home: Path
    gigq: tuple[str, ...]
    gigqd: tuple[str, ...]
    environment: dict[str, str] = field(default_factory=plain_environment)

    def __post_init__(self) -> None:
        """Write the files."""
        self.home.mkdir(parents=True, exist_ok=True)
        (self.home / "app.py").write_text(APP)
        (self.home / "gigq.toml").write_text(CONFIG)

    def ask(self, *words: str, program: str = "gigqd", fails: bool = False) -> str:
        """Run a command in the folder, and return what it prints."""
        start = self.gigqd if program == "gigqd" else self.gigq
        file = str(self.home / "gigq.toml")
        command = [*start, "--config", file, *words]
        done = run(*command, folder=self.home, environment=self.environment, fails=fails)
        return done.stderr if fails else done.stdout

    def status(self) -> dict[str, Any]:
        """Return what the daemon answers."""
        return dict(json.loads(self.ask("status", "--json")))

    def completes_a_job(self) -> bool:
        """Submit a job, and wait until it has its result."""
        words = ["submit", "app.double", "--name", "a job", "-p", "number=21", "--json"]
        job_id = json.loads(self.ask(*words, program="gigq"))["id"]

        def shown() -> dict[str, Any]:
            return dict(json.loads(self.ask("status", job_id, "--json", program="gigq")))

        job = wait_until(lambda: (found := shown())["status"] == "completed" and found)
        return bool(job["result"] == 42)

    def works(self) -> bool:
        """Start the daemon, let it run a job, and stop it."""
        self.ask("check", "--db", "--import")
        self.ask("start")
        try:
            return self.completes_a_job()
        finally:
            self.ask("stop")


def build(target: str, folder: Path, source: Path = ROOT, **given: str) -> Path:
    """Build the wheel or the source distribution into an empty folder, and return its file."""
    command = [sys.executable, "-m", "hatchling", "build", "--target", target]
    environment = plain_environment(**given)
    run(*command, "--directory", folder, folder=source, environment=environment)
    (built,) = folder.iterdir()
    return built


def collect_wheels(folder: Path) -> Wheels:
    """Build the wheel, and fetch those that it needs from the index or pip's cache."""
    wheel = build("wheel", folder)
    fetch = [sys.executable, "-m", "pip", "download", "--quiet", "--dest", folder]
    environment = plain_environment(**{k: v for k, v in os.environ.items() if k.startswith("PIP_")})
    run(*fetch, wheel, "hatchling", "editables", folder=folder, environment=environment)
    run(*fetch, "--no-deps", "gigq==0.5.1", folder=folder, environment=environment)
    return Wheels(folder, wheel)


def build_with_version(folder: Path, version: str) -> Path:
    """Build a wheel of the project with another version, and return its file."""
    for name in ("gigq", "gigqd", "docs/man", "etc", "systemd"):
        shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, folder / name)
    init = folder / "gigq/__init__.py"
    before = init.read_text()
    init.write_text(before.replace('__version__ = "', f'__version__ = "{version}"  # "'))
    return build("wheel", folder / "dist", folder)
