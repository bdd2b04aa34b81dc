"""The ledger: a file outside the database into which every process writes what it did.

Each record is one write to a file opened for appending, so records never mingle, and the order
of the lines is the order of the writes. A record begins and ends with a newline: one that a kill
has cut in two spoils no other.
"""

from __future__ import annotations

import json
import os
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pathlib import Path

_COMMON = ("at", "wall", "pid", "what", "job", "execution")


@dataclass(frozen=True, slots=True)
class Line:
    """One record of the ledger.

    Attributes:
        number: its line in the file, from 1.
        what: what happened; docs/torture.md lists the words.
        at: when, by CLOCK_MONOTONIC in seconds, read just before the write.
        wall: the same moment by the calendar, in seconds since 1970.
        pid: who wrote it.
        job: the id of the job that it is about.
        execution: the id of the execution that it is about.
        data: everything else.
    """

    number: int
    what: str
    at: float
    wall: float = 0.0
    pid: int = 0
    job: str | None = None
    execution: str | None = None
    data: dict[str, Any] = field(default_factory=dict)


def note(ledger: str | Path, what: str, **fields: Any) -> None:
    """Append one record; a forked child may do so, too."""
    record = {"what": what, "pid": os.getpid(), "at": time.monotonic(), "wall": time.time()}
    text = "\n" + json.dumps(record | fields) + "\n"
    descriptor = os.open(ledger, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
    try:
        os.write(descriptor, text.encode())
    finally:
        os.close(descriptor)


def read(ledger: Path, about: str = "") -> tuple[list[Line], int]:
    """Every whole record, and how many a kill has cut off.

    Args:
        ledger: the file.
        about: a text that the records must have in them; a large ledger is read faster so.
    """
    texts = ledger.read_text(errors="replace").split("\n") if ledger.exists() else []
    lines, torn = [], 0
    for number, text in enumerate(texts, 1):
        if not text or about not in text:
            continue
        try:
            lines.append(_line(number, json.loads(text)))
        except (ValueError, KeyError, TypeError):
            torn += 1
    return lines, torn


def _line(number: int, record: dict[str, Any]) -> Line:
    return Line(
        number=number,
        what=record["what"],
        at=record["at"],
        wall=record["wall"],
        pid=record["pid"],
        job=record.get("job"),
        execution=record.get("execution"),
        data={key: value for key, value in record.items() if key not in _COMMON},
    )
