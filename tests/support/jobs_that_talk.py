"""Job functions that print when a test gives the cue."""

from __future__ import annotations

import os
import time
from pathlib import Path

from support.jobs import entries, noted


def say_on_cue(ledger: str, job: str, cues: str, lines: list[str], fails: int = 0) -> None:
    """Print each line once a file with its number is there; raise in the first attempts."""
    with noted(ledger, job):
        for number, line in enumerate(lines):
            _await(Path(cues, str(number)))
            print(f"{job}: {line}")  # noqa: T201 - it is what this job does
        if sum(line["job"] == job for line in entries(ledger, "start")) <= fails:
            raise RuntimeError(f"{job} fails")


def write_on_cue(ledger: str, job: str, cues: str, chunks: list[str]) -> None:
    """Write the bytes of each chunk, in Latin-1, once a file with its number is there."""
    with noted(ledger, job):
        for number, chunk in enumerate(chunks):
            _await(Path(cues, str(number)))
            os.write(1, chunk.encode("latin-1"))
        _await(Path(cues, "go"))


def flood(ledger: str, job: str, cues: str, kilobytes: int) -> None:
    """Print much, and an end to it; then wait for a cue."""
    with noted(ledger, job):
        for number in range(kilobytes):
            os.write(1, f"{number:08}".rjust(1023, ".").encode() + b"\n")
        print("the end")  # noqa: T201 - it is what this job does
        Path(cues, "flooded").touch()
        _await(Path(cues, "go"))


def _await(path: Path) -> None:
    end = time.monotonic() + 60
    while not path.exists():
        if time.monotonic() > end:
            raise AssertionError(f"no cue {path}")
        time.sleep(0.01)
