"""A Django project for a test, made by Django's own commands."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path


def manage(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run a command of `manage.py`."""
    return subprocess.run(
        [sys.executable, "manage.py", *arguments],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )


def start_project(folder: Path) -> None:
    """Make the project `shop` with the application `orders`."""
    make = [sys.executable, "-m", "django", "startproject", "shop", "."]
    subprocess.run(make, cwd=folder, check=True)
    assert manage(folder, "startapp", "orders").returncode == 0


def make_tables(folder: Path, *databases: str) -> None:
    """Make the tables of all models in some databases, `default` when none are given."""
    steps = [("makemigrations", "orders")]
    steps += [("migrate", "--database", each) for each in databases or ("default",)]
    for step in steps:
        done = manage(folder, *step)
        assert done.returncode == 0, done.stderr
