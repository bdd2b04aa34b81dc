"""The output of a running job on another host, as its daemon stores it on request."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from gigq.cli.formatting import local_time
from gigq.errors import StoreError
from gigq.model import clock
from gigq.model.job_status import JobStatus
from gigq.store.verbs import live_output

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from gigq.cli.open_queue import ReadQueue
    from gigq.store.database import Row

_RENEW_EVERY = 2.0
_NO_ANSWER_AFTER = 5.0
_RENEWED_WITHIN = 0.5  # of a lease; daemons renew theirs after a third
_UNKNOWN = "another host"

_REFUSALS = {
    live_output.NOT_KEPT: "the output is not stored, because the pool has keep_output = 0",
    live_output.NOT_READABLE: "the daemon there cannot read the output of its worker",
}


class StoredOutput:
    """The growing output of an attempt on another host.

    Each read takes what the daemon there has stored. Now and then it renews the request for that,
    and prints why nothing comes.

    Args:
        queue: the queue.
        job: the row of the job.
        execution: the attempt.
        notice: prints a sentence.
    """

    def __init__(
        self,
        queue: ReadQueue,
        job: Mapping[str, Any],
        execution: Mapping[str, Any],
        notice: Callable[[str], None],
    ) -> None:
        self._queue = queue
        self._in_queue = job["queue"]
        self._id = execution["id"]
        self._notice = notice
        self._position = 0
        self._asks = True
        self._began_at = time.monotonic()
        self._renew_at = 0.0
        self._host: str | None = None
        self._answer: str | None = None
        self._heard_at = self._began_at
        self._is_silent = False

    def read(self) -> bytes:
        """Return the next part of the output; empty when nothing was added."""
        now = time.monotonic()
        if now >= self._renew_at:
            self._renew_at = now + _RENEW_EVERY
            self._request()
            self._look(now)
        return b"".join(map(self._rest_of, self._queue.stored_output(self._id, self._position)))

    def close(self) -> None:
        """Do nothing: the request expires, and another reader may renew it."""

    def _rest_of(self, part: live_output.Part) -> bytes:
        """Return the bytes of a part that were not read yet."""
        missing = part.start - self._position
        if missing > 0 and self._position:
            self._notice(f"{missing} bytes are left out: more came in a second than is kept")
        self._heard_at = time.monotonic()
        rest = part.content[max(0, -missing) :]
        self._position = part.start + len(part.content)
        return rest

    def _request(self) -> None:
        if not self._asks:
            return
        try:
            self._queue.request_output(self._id, self._in_queue, first=self._host is None)
        except StoreError as error:
            self._asks = False
            self._notice(f"this shows only what others have requested of the output: {error}")

    def _look(self, now: float) -> None:
        found = self._queue.state_of_output(self._id)
        if found is None:
            return
        if self._host is None:
            self._host = found["host"] or _UNKNOWN
            stores = ", whose daemon stores the output once a second while it is followed"
            self._notice(f"it runs on {self._host}{stores * self._asks}")
        self._note_answer(found["answer"], now)
        self._note_silence(found, now)

    def _note_answer(self, answer: str | None, now: float) -> None:
        is_late = now - self._began_at > _NO_ANSWER_AFTER and not self._position and self._asks
        answer = answer or ("none" if is_late else None)
        if answer == self._answer:
            return
        self._answer = answer
        if answer == "none":
            since = f"{_NO_ANSWER_AFTER:g} s"
            self._notice(f"the daemon on {self._host} has not stored any output for {since}")
        elif answer in _REFUSALS:
            where = f"run gigq logs -f on {self._host} to see it, or wait for the job's end"
            self._notice(f"{_REFUSALS[answer]}; {where}")

    def _note_silence(self, found: Row, now: float) -> None:
        came_at = clock.after(found["now"], self._heard_at - now) if self._position else ""
        since, was_silent = _silent_since(found, came_at), self._is_silent
        self._is_silent = since is not None
        if self._is_silent and not was_silent:
            self._notice(
                f"nothing has come from {self._host} since {local_time(since)}: "
                "its daemon does not reach the database"
            )
        elif was_silent and not self._is_silent:
            self._notice(f"the daemon on {self._host} reaches the database again")


def _silent_since(found: Row, came_at: str) -> str | None:
    """Return when a daemon was last heard of; None while it renews its lease in time.

    Args:
        found: the daemon's process, and the time `now`.
        came_at: the time at which output has come last, or an empty text.
    """
    if not found["seen_at"] or not found["lease"]:
        return None
    heard_at = max(str(found["seen_at"]), came_at)
    is_late = clock.after(heard_at, found["lease"] * _RENEWED_WITHIN) < found["now"]
    return heard_at if is_late else None


def so_far(queue: ReadQueue, execution: Mapping[str, Any]) -> str | None:
    """Return what is stored now of the output of a running attempt; None without any."""
    parts = queue.stored_output(execution["id"], 0)
    return b"".join(part.content for part in parts).decode(errors="replace") if parts else None


def host_of(queue: ReadQueue, execution: Mapping[str, Any]) -> str:
    """Return the name of the host that runs an attempt, or words for an unknown one."""
    return known_host_of(queue, execution) or _UNKNOWN


def known_host_of(queue: ReadQueue, execution: Mapping[str, Any]) -> str | None:
    """Return the name of the host that runs an attempt; None without one, and on a file."""
    if not queue.place.is_shared or execution["status"] != JobStatus.RUNNING.value:
        return None
    found = queue.state_of_output(execution["id"])
    return found["host"] if found else None
