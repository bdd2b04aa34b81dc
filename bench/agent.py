"""The side of a measurement that runs in a queue's own environment: commands in, figures out.

    python -m bench.agent NAME FOLDER ADDRESS

Each line of the input is a command in JSON, each line of the output its answer. Only the time
of the calls themselves is measured here, on the monotonic clock.
"""

from __future__ import annotations

import importlib
import json
import os
import random
import sys
import time
import traceback
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bench import board
from bench.protocol import Place

if TYPE_CHECKING:
    from bench.protocol import Adapter

CHUNK = 10_000
LONGEST_WAIT = 5.0
LEAD, BETWEEN = 3.0, 0.04


def main() -> None:
    """Answer commands until there are no more."""
    name, folder, address = sys.argv[1:]
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what a library prints is no answer
    adapter = importlib.import_module(f"bench.peers.{name}").adapter(Place(Path(folder), address))
    commands = Commands(adapter)
    for line in sys.stdin:
        request = json.loads(line)
        try:
            answer = {"value": getattr(commands, request.pop("do"))(**request)}
        except Exception:  # noqa: BLE001 - whatever went wrong is reported in the table
            answer = {"error": traceback.format_exc()}
        answers.write(json.dumps(answer) + "\n")
        answers.flush()
    adapter.stop()


class Commands:
    """What may be asked."""

    def __init__(self, adapter: Adapter) -> None:
        """Measure with an adapter."""
        self.adapter = adapter

    def prepare(self) -> None:
        """Make an empty store."""
        self.adapter.prepare()

    def start(self, workers: int) -> list[int]:
        """Start workers; their root processes."""
        return self.adapter.start(workers)

    def stop(self) -> None:
        """End the workers."""
        self.adapter.stop()

    def submit(self, kind: str, count: int, seconds: float, pause: float = 0.0) -> list[int]:
        """Submit one by one, at most `count` in at most `seconds`; nanoseconds of each call."""
        took: list[int] = []
        end = time.monotonic() + seconds
        while len(took) < count and time.monotonic() < end:
            began = time.monotonic_ns()
            self.adapter.submit(kind)
            took.append(time.monotonic_ns() - began)
            if pause:
                time.sleep(pause)
        return took

    def submit_many(self, kind: str, count: int, seconds: float) -> tuple[int, float]:
        """Submit in bulk, in chunks, until the time is up; jobs and seconds."""
        done, began = 0, time.monotonic()
        while done < count and time.monotonic() - began < seconds:
            chunk = min(count - done, CHUNK if count > 2 * CHUNK else count)
            self.adapter.submit_many(kind, chunk)
            done += chunk
        return done, time.monotonic() - began

    def latency(
        self, count: int, seconds: float, gap: tuple[float, float]
    ) -> list[tuple[int, int]]:
        """Submit into an idle pool; nanoseconds from the call, and from its return, to the job."""
        words = board.opened()
        found: list[tuple[int, int]] = []
        end = time.monotonic() + seconds
        while len(found) < count and time.monotonic() < end:
            words[board.STAMP] = 0
            began = time.monotonic_ns()
            self.adapter.submit("stamp")
            returned = time.monotonic_ns()
            limit = time.monotonic() + LONGEST_WAIT
            while not words[board.STAMP] and time.monotonic() < limit:
                time.sleep(0.0005)
            ran = words[board.STAMP]
            if not ran:
                raise TimeoutError(f"a job did not run within {LONGEST_WAIT:g} s")
            found.append((ran - began, ran - returned))
            time.sleep(random.uniform(*gap))  # noqa: S311 - out of step with any polling
        return found

    def lateness(self, count: int, busy: bool, seconds: float) -> list[int]:
        """Submit jobs for later; nanoseconds from the time of each to its start, in their order.

        Args:
            count: number of jobs.
            busy: True to submit a job of 10 ms every 10 ms meanwhile.
            seconds: how long to wait for the last one after its time.
        """
        due: list[int] = []
        for number in range(count):
            ahead = LEAD + number * BETWEEN + random.uniform(0, BETWEEN)  # noqa: S311 - as above
            due.append(time.monotonic_ns() + int(ahead * 1e9))
            self.adapter.submit_later("moment", ahead)  # type: ignore[attr-defined]
        end = max(due) + int(seconds * 1e9)
        while len(began := _moments()) < count and time.monotonic_ns() < end:
            if busy:
                self.adapter.submit("sleep10")
            time.sleep(0.010)
        return [start - at for start, at in zip(sorted(began), sorted(due), strict=False)]

    def can(self, name: str) -> bool:
        """Whether this queue can do something that not all can."""
        return hasattr(self.adapter, name)

    def extra(self, name: str, **given: Any) -> Any:
        """Something that only this queue can do."""
        return getattr(self.adapter, name)(**given)

    def versions(self) -> dict[str, str]:
        """What is installed in this environment."""
        return {d.metadata["Name"]: d.version for d in metadata.distributions()}


def _moments() -> list[int]:
    try:
        found = board.moments().read_bytes()
    except FileNotFoundError:
        return []
    return [int.from_bytes(found[at : at + 8], "little") for at in range(0, len(found), 8)]


if __name__ == "__main__":
    main()
