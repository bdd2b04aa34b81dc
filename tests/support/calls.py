"""The ledger: a file outside the queue in which job functions note their starts and ends."""

from __future__ import annotations

import fcntl
import json
import os
import time
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from support.json_lines import read_whole

from gigqd.linux import syscalls
from gigqd.logs import pipeline

if TYPE_CHECKING:
    from collections.abc import Iterator


def note(ledger: str, **fields: Any) -> None:
    """Append one line to the ledger, in a single write so that lines never mingle."""
    fd = os.open(ledger, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    try:
        os.write(fd, f"{line_of(**fields)}\n".encode())
    finally:
        os.close(fd)


def line_of(**fields: Any) -> str:
    """The line with which this process notes something."""
    who = {"pid": os.getpid(), "born": syscalls.start_ticks(os.getpid())}
    return json.dumps({**who, "at": time.monotonic(), **fields})


@contextmanager
def noted(ledger: str, job: str) -> Iterator[None]:
    """Note the start and the end of one call; an end by an exception is an end, too."""
    call = os.urandom(16).hex()
    context = pipeline._state.job
    job_id, execution = context.get("job_id"), context.get("execution")
    fields = {"job": job, "call": call, "job_id": job_id, "execution": execution}
    with _alone(ledger, fields):
        note(ledger, what="start", **fields)
        try:
            yield
        finally:
            note(ledger, what="end", **fields)


@contextmanager
def _alone(ledger: str, fields: dict[str, Any]) -> Iterator[None]:
    """Hold a lock that lasts as long as this process or one that it forks; note if it is held.

    The kernel knows whether something of an earlier attempt lives; a dead one left no end.
    """
    if fields["job_id"] is None:
        yield
        return
    lock = os.open(f"{ledger}.{fields['job_id']}", os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        note(ledger, what="overlap", **fields)
    try:
        yield
    finally:
        with suppress(OSError):  # the job may have closed what was not its own
            os.close(lock)


@dataclass(frozen=True, slots=True)
class Call:
    """One call of a job function, as the ledger has it."""

    job: str
    job_id: str | None
    execution: str | None
    pid: int
    born: int
    start: float
    end: float | None
    """None: it was killed, or still runs."""


def entries(ledger: Path | str, what: str | None = None) -> list[dict[str, Any]]:
    """The lines of a ledger: all, or those of one kind ("start", "end", "child")."""
    path = Path(ledger)
    text = path.read_text() if path.exists() else ""
    return [line for line in read_whole(text) if what in (None, line["what"])]


def calls(ledger: Path | str) -> list[Call]:
    """Every call in a ledger, in the order of their starts."""
    ends = {line["call"]: line["at"] for line in entries(ledger, "end")}
    return [
        Call(
            line["job"],
            line["job_id"],
            line["execution"],
            line["pid"],
            line["born"],
            line["at"],
            ends.get(line["call"]),
        )
        for line in entries(ledger, "start")
    ]


def child_pids(ledger: Path | str) -> list[int]:
    """The processes that `spawn_children` has noted."""
    return [line["pid"] for line in entries(ledger, "child")]
