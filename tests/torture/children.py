"""Processes that jobs start, and that write for as long as they live: they should not for long."""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path

from torture.ledger import note

WAYS = ("plain", "setsid", "double", "exec")
"""How a child leaves its parent: not at all, by a session of its own, by a second fork on top of
that, or by another program on top of both."""

ORPHANS = frozenset({"double", "exec"})
"""The ways that leave no parent that could wait for the child."""

_LONGEST_LIFE = 20.0
_PACE = 0.03


def start(way: str, ledger: str, job: str, execution: str) -> None:
    """Start one child that lingers."""
    pid = os.fork()
    if pid:
        if way in ORPHANS:
            os.waitpid(pid, 0)
        return
    try:
        if way != "plain":
            os.setsid()
        if way in ORPHANS and os.fork():
            os._exit(0)
        if way == "exec":
            _become_another_program(ledger, job, execution)
        linger(way, ledger, job, execution)
    finally:
        os._exit(1)


def linger(way: str, ledger: str, job: str, execution: str) -> None:
    """Write a line again and again, for a third of a minute at the most."""
    end = time.monotonic() + _LONGEST_LIFE
    while time.monotonic() < end:
        note(ledger, "child", job=job, execution=execution, way=way)
        time.sleep(_PACE)


def _become_another_program(ledger: str, job: str, execution: str) -> None:
    program = "import sys; from torture.children import linger; linger(*sys.argv[1:])"
    tests = str(Path(__file__).resolve().parents[1])
    os.execve(
        sys.executable,
        [sys.executable, "-S", "-c", program, "exec", ledger, job, execution],
        {**os.environ, "PYTHONPATH": tests},
    )
