"""What the audience sees while the jobs run: a progress line, and what happens to bad jobs."""

from __future__ import annotations

import json
import os
import shutil
import sys
import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_BAR = 24
_EVERY = 1.0


class LogReader:
    """Reads the daemon's log as it grows, one event after the other."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._offset = 0
        self.seen: list[dict[str, Any]] = []

    def news(self) -> Iterator[dict[str, Any]]:
        """The events that have come since the last call."""
        with self._path.open("rb") as file:
            file.seek(self._offset)
            data = file.read()
        whole = data[: data.rfind(b"\n") + 1]
        self._offset += len(whole)
        for line in whole.splitlines():
            event = json.loads(line)
            self.seen.append(event)
            yield event

    def last(self, name: str, job_id: str) -> dict[str, Any]:
        """The last event of a name about a job; empty when there is none."""
        found = [e for e in self.seen if (e["event"], e.get("job_id")) == (name, job_id)]
        return found[-1] if found else {}


class Stage:
    """Writes to the terminal or another stream, with a progress line that is updated in place."""

    def __init__(self) -> None:
        self._began = time.monotonic()
        self._began_at = datetime.now(UTC)
        self._is_live = sys.stdout.isatty() and os.environ.get("TERM") != "dumb"
        self._next_line_at = 0.0
        self._latest = 0.0

    @property
    def elapsed(self) -> float:
        """Seconds since the demo began."""
        return time.monotonic() - self._began

    def say(self, text: str) -> None:
        """Write a line that stays."""
        self._write(self.elapsed, text)

    def report(self, event: dict[str, Any], text: str) -> None:
        """Write a line about an event of the log, with the time at which it happened."""
        happened_at = datetime.fromisoformat(event["ts"])
        self._write((happened_at - self._began_at).total_seconds(), text)

    def show(self, text: str) -> None:
        """Write what has changed since the last line that stayed, without the time."""
        self._clear()
        print(text, flush=True)

    def progress(self, done: int, running: int, total: int) -> None:
        """Bring the progress line up to date; elsewhere than on a terminal, once a second."""
        bar = "#" * (_BAR * done // total)
        self._latest = max(self._latest, self.elapsed)
        text = f"{self._latest:5.1f} s  [{bar:.<{_BAR}}] {done}/{total} over, {running} running"
        if self._is_live:
            width = shutil.get_terminal_size().columns - 1
            print(f"\r{text[:width]}\x1b[K", end="", flush=True)
        elif self.elapsed >= self._next_line_at:
            self._next_line_at = self.elapsed + _EVERY
            print(text, flush=True)

    def _write(self, seconds: float, text: str) -> None:
        # An event is read a little after it happened; the lines are in the order of their times.
        self._latest = max(self._latest, seconds)
        self._clear()
        print(f"{self._latest:5.1f} s  {text}", flush=True)

    def _clear(self) -> None:
        if self._is_live:
            print("\r\x1b[K", end="")


def sentence(event: dict[str, Any]) -> str | None:
    """What an event of the log means for the audience; None when it is everyday business."""
    match event:
        case {"event": "job_interrupted", "cause": "timeout", "job": job, "limit": limit}:
            return f"{job}: past its limit of {limit:g} s, interrupted"
        case {"event": "worker_exited", "cause": "timeout", "slot": slot, "killed": killed}:
            return f"{slot}: did not end and was killed, {killed} processes in all"
        case {"event": "worker_exited", "cause": "crashed", "slot": slot, "signal": signal}:
            return f"{slot}: its worker died of {signal} and is replaced"
        case {"event": "exit_recorded", "status": status, "attempt": attempt}:
            return f"        attempt {attempt} is recorded, the job is {status}"
        case {"event": "job.retrying", "job": job, "attempt": attempt}:
            return f"{job}: attempt {attempt} failed, another follows"
        case {"event": "job.completed", "job": job, "attempt": attempt} if attempt > 1:
            return f"{job}: attempt {attempt} succeeded"
    return None
