"""A worker can still open a file after a job that has used up all descriptors."""

from __future__ import annotations

import subprocess
import sys

from support.tree import ROOT

PROGRAM = """
import os
from gigqd.worker.reserved_descriptors import ReservedDescriptors
reserved = ReservedDescriptors()
def take_all():
    taken = 0
    try:
        while True:
            os.dup(0)
            taken += 1
    except OSError:
        return taken
reserved.free_if_needed()
some = take_all()
none = take_all()
reserved.free_if_needed()
print(some > 100, none, take_all())
"""


def test_what_was_kept_back_is_there_when_nothing_else_is_and_not_before() -> None:
    limited = f"ulimit -n 256 && exec {sys.executable} -c '{PROGRAM}'"
    ran = subprocess.run(
        ["bash", "-c", limited], cwd=ROOT, capture_output=True, text=True, check=True
    )

    assert ran.stdout.split() == ["True", "0", "16"]
