"""Wakeup of idle workers by NOTIFY: a hint, beside polling.

A transaction that notifies takes a lock of the whole database until its commit. So the
notification is a statement of its own after the commit, and a process sends at most one for each
queue in 0.1 s. A worker that was woken therefore looks for work once more after that time.
"""

from __future__ import annotations

import json
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from gigq.descriptors import wait_readable
from gigq.errors import StoreError
from gigq.model.jitter import random_between
from gigq.model.served_queues import parse
from gigq.store.dialect import POSTGRES
from gigq.store.postgres.errors import driver_errors_suppressed, is_from_driver
from gigq.store.statements import statements

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

DEBOUNCE = 0.1
"""Seconds in which a process sends one notification for each queue at most."""

_LONGEST = 7000  # the server refuses a payload of 8000 bytes
_POLL = 1.0
_EVERY_QUEUE = ""


class Notifier:
    """Sends the notifications of one process."""

    def __init__(self) -> None:
        self._sent: dict[str, float] = {}

    def notify(self, connection: Any, due: Iterable[str]) -> None:
        """Inform idle workers that jobs became due in these queues, unless that was just done."""
        now = time.monotonic()
        queues = [queue for queue in due if now - self._sent.get(queue, -1.0) >= DEBOUNCE]
        if not queues:
            return
        self._sent = {queue: at for queue, at in self._sent.items() if now - at < DEBOUNCE}
        self._sent.update(dict.fromkeys(queues, now))
        payload = json.dumps(queues)
        if len(payload) > _LONGEST:
            payload = _EVERY_QUEUE
        with driver_errors_suppressed():  # polling goes on
            connection.execute(statements(POSTGRES)["notify"], {"payload": payload})


class Listener:
    """Waits on this thread's connection for notifications about the queues that it serves.

    Args:
        connect: returns this thread's connection.
        queues: patterns of the served queues; None for every queue.
    """

    def __init__(self, connect: Callable[[], Any], queues: Iterable[str] | None) -> None:
        self._connect = connect
        self._serves = parse(queues).serves
        self._connection: Any = None
        self._is_notified = False
        self._look_again_at = 0.0

    def drain(self) -> bool:
        """Forget all notifications so far: the caller's next look finds their jobs."""
        self._follow_connection()
        was_notified, self._is_notified = self._is_notified, False
        return was_notified

    def wait(self, timeout: float, others: Iterable[int] = ()) -> bool:
        """Sleep until a notification, input on one of the descriptors `others`, or `timeout` s.

        Returns:
            True when there was a notification.
        """
        self._follow_connection()
        deadline = time.monotonic() + self._pause(timeout)
        others = list(others)
        while not self._is_notified and (left := deadline - time.monotonic()) > 0:
            descriptor = self._descriptor()
            ready = wait_readable([*others, *descriptor], left)
            self._take_input()
            if any(other in ready for other in others):
                break
        return self._is_notified

    def close(self) -> None:
        """Stop waiting."""
        self._connection = None

    def _pause(self, timeout: float) -> float:
        """Return the time to sleep: until the look for what a sender did not announce."""
        until_then = self._look_again_at - time.monotonic()
        return min(timeout, until_then) if until_then > 0 else timeout

    def _follow_connection(self) -> None:
        """Listen on this thread's connection, also on the next one after a loss."""
        with suppress(StoreError):
            connection = self._connect()
            if connection is not self._connection:
                connection.add_notify_handler(self._note)
                connection.execute(statements(POSTGRES)["listen"])
                self._connection = connection
                self._is_notified = True  # some may have been missed

    def _descriptor(self) -> list[int]:
        connection = self._connection
        return [] if connection is None or connection.closed else [connection.fileno()]

    def _take_input(self) -> None:
        connection = self._connection
        if connection is None or connection.closed:
            return
        try:
            connection.pgconn.consume_input()
            while (found := connection.pgconn.notifies()) is not None:
                self._note_payload(found.extra.decode("utf-8", "replace"))
        except Exception as error:
            if not is_from_driver(error):
                raise
            connection.close()

    def _note(self, notification: Any) -> None:
        self._note_payload(notification.payload)

    def _note_payload(self, payload: str) -> None:
        if payload == _EVERY_QUEUE or any(map(self._serves, json.loads(payload))):
            self._is_notified = True
            self._look_again_at = time.monotonic() + DEBOUNCE


class Polling:
    """The watch of a database that does not report writes: workers look once a second."""

    @property
    def longest_sleep(self) -> float:
        """Seconds to sleep at most; not the same for all workers."""
        return random_between(0.75 * _POLL, _POLL)

    def descriptors(self) -> list[int]:
        """Return no descriptors."""
        return []

    def renew(self) -> bool:
        """Return False: there is nothing to open again."""
        return False

    def take(self) -> bool:
        """Return False: no write was reported."""
        return False

    def close(self) -> None:
        """Do nothing."""
