"""Running the product as another user than root, who may not read all that root may."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
import sysconfig
from functools import cache
from pathlib import Path

import pytest

_TESTS = Path(__file__).resolve().parent.parent
_PROGRAM = "import sys, sqlite3, gigqd.supervisor.loop; sys.exit(sys.version_info < (3, 11))"

SEARCH_PATH = f"{sysconfig.get_path('purelib')}:{_TESTS.parent}:{_TESTS}"
"""The PYTHONPATH with which another interpreter finds the project, its libraries and its tests."""


def interpreter_for(user: str) -> str:
    """Return an interpreter that a user may run; skip the test when there is none."""
    found = find_interpreter(user)
    if found is None:
        pytest.skip(f"{user} may not read a Python 3.11 or newer, or not this folder")
    return found


@cache
def find_interpreter(user: str) -> str | None:
    """Return this interpreter, or the system's where this one lies in a folder closed to the user.

    None when the user may read neither, or not the project.
    """

    def can(*command: str) -> bool:
        become = ["setpriv", f"--reuid={user}", "--clear-groups", *command]
        environment = {"PYTHONPATH": SEARCH_PATH}
        return not subprocess.run(become, cwd="/", env=environment, capture_output=True).returncode

    if can("test", "-r", sqlite3.__file__) and can(sys.executable, "-c", _PROGRAM):
        return sys.executable
    if can("/usr/bin/python3", "-c", _PROGRAM):
        return "/usr/bin/python3"
    return None
