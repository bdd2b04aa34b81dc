"""Wakeup of idle workers by NOTIFY: a hint, beside polling.

A transaction that notifies takes a lock of the whole database until its commit. So the
notification is a statement of its own after the commit, and there is at most one for each queue in
0.1 s. A worker that was woken therefore looks for work again after that time. One that has just run
a job looks several times until then: the next job often follows soon.
"""

from __future__ import annotations

import json
import math
import time
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

from gigq.descriptors import wait_readable
from gigq.errors import StoreError
from gigq.model.served_queues import parse
from gigq.store.dialect import POSTGRES
from gigq.store.postgres import drivers
from gigq.store.postgres.errors import driver_errors_suppressed, is_from_driver
from gigq.store.statements import statements

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from psycopg import Notify

    from gigq.store.session import Row

DEBOUNCE = 0.1
"""Seconds in which there is one notification for each queue at most."""

_FIRST_LOOK = 0.005
_MOST_QUEUES = 16
CHECK_EVERY = 10.0
"""Seconds between two checks that the server still notifies this process."""

_FIRST_PAUSE = 1.0
_EVERY_QUEUE = "*"
_BEHIND_A_POOLER = (
    "a connection pooler is between this process and the server, and does not deliver "
    "notifications; name a direct address of the server"
)


class Notifier:
    """Sends the notifications of one process.

    Of all processes the first one in a tenth of a second notifies about a queue. It has an advisory
    lock on the queue and that time, which its session keeps until its next notification.
    """

    def __init__(self) -> None:
        self._sent: dict[str, float] = {}
        self._locks: WeakKeyDictionary[Any, Row] = WeakKeyDictionary()

    def notify(self, connect: Callable[[], Any], due: Iterable[str]) -> None:
        """Inform idle workers that jobs became due in these queues, unless that was just done."""
        now = time.monotonic()
        queues = [queue for queue in due if now - self._sent.get(queue, -1.0) >= DEBOUNCE]
        if not queues:
            return
        self._sent = {queue: at for queue, at in self._sent.items() if now - at < DEBOUNCE}
        self._sent.update(dict.fromkeys(queues, now))
        names = [_EVERY_QUEUE] if len(queues) > _MOST_QUEUES else queues
        connection = connect()
        # Polling goes on.
        with suppress(StoreError), drivers.store_errors(connection):
            self._send(connection, names)

    def _send(self, connection: Any, names: list[str]) -> None:
        sql = statements(POSTGRES)
        locks = self._locks.pop(connection, None)
        with drivers.cursor_of(connection) as cursor:
            if locks:
                cursor.execute(sql["unlock_notified"], locks)
            # Behind a pooler a session is not this process's own.
            kind = "xact_lock" if drivers.set_up_of(connection) else "lock"
            where = {"schema": drivers.schema_of(connection), "queues": json.dumps(names)}
            cursor.execute(sql["notify"].format(lock=f"pg_try_advisory_{kind}"), where)
            sent = cursor.fetchone()
        if sent and kind == "lock":
            self._locks[connection] = {"keys": sent[0], "tenth": sent[1]}


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
        self._noted_at, self._look_again_at = 0.0, math.inf

    def drain(self) -> bool:
        """Forget all notifications so far: the caller's next look finds their jobs."""
        was_notified, self._is_notified = self._is_notified, False
        now = time.monotonic()
        if now >= self._look_again_at:
            self._look_again_at = self._next_look(now)
        return was_notified

    def wait(self, timeout: float, others: Iterable[int] = ()) -> bool:
        """Sleep until a notification, input on one of the descriptors `others`, or `timeout` s.

        Returns:
            True when there was a notification, or some may have been missed before this call.
        """
        self._listen()
        deadline = time.monotonic() + self._pause(timeout)
        others = list(others)
        self._take_input()
        while not self._is_notified and (left := deadline - time.monotonic()) > 0:
            descriptor = self._descriptor()
            ready = wait_readable([*others, *descriptor], left)
            self._take_input()
            if any(other in ready for other in others):
                break
        return self._is_notified

    def rest(self) -> None:
        """Stop listening while a job runs: the server keeps what is not read, for all of them."""
        connection = self._connection
        self.close()
        if connection is not None:
            with driver_errors_suppressed():
                drivers.run(connection, statements(POSTGRES)["stop_listening"])

    def close(self) -> None:
        """Stop waiting."""
        if self._connection is not None:
            self._connection.remove_notify_handler(self._on_notify)
        self._connection = None

    def _pause(self, timeout: float) -> float:
        """Return the time to sleep: until the look for what a sender did not announce."""
        return min(timeout, max(0.0, self._look_again_at - time.monotonic()))

    def _listen(self) -> None:
        """Listen on this thread's connection, also on the next one after a loss."""
        with suppress(StoreError), driver_errors_suppressed():
            connection = self._connect()
            if connection is not self._connection:
                drivers.run(connection, statements(POSTGRES)["listen"])
                self.close()
                self._connection = connection
                connection.add_notify_handler(self._on_notify)
                self._note(_FIRST_LOOK)

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
                self._take(found.extra.decode("utf-8", "replace"))
        except Exception as error:
            if not is_from_driver(error):
                raise
            connection.close()

    def _on_notify(self, notification: Notify) -> None:
        """Take a notification that has come with the answer to a statement of the worker."""
        self._take(notification.payload)

    def _take(self, payload: str) -> None:
        queues = _queues_in(payload)
        if queues is None or any(map(self._serves, queues)):
            self._note(DEBOUNCE)

    def _note(self, pause: float) -> None:
        self._is_notified, self._noted_at = True, time.monotonic()
        self._look_again_at = self._noted_at + pause

    def _next_look(self, now: float) -> float:
        """Return the time of the look after this one: the time since the first one doubles."""
        end = self._noted_at + DEBOUNCE
        return math.inf if now >= end else min(now + (now - self._noted_at), end)


class QueueWatch:
    """Reports in which queues jobs became due, on a connection that is used for nothing else.

    A caller waits for input on the descriptor, then calls `take`. It calls `renew` at least once a
    second while the server can be reached. Only the opening of the connection, in `renew`, waits
    for the server, for its `connect_timeout` at most.

    Attributes:
        problem: the reason why notifications do not arrive; None while they do.
    """

    def __init__(self, connect: Callable[[], Any], check_every: float = CHECK_EVERY) -> None:
        """Make a watch; `renew` opens its connection.

        Args:
            connect: opens a connection of psycopg that is a session of the server's own.
            check_every: seconds between two checks, and the time for the answer to one.
        """
        self.problem: str | None = "it has not been asked to listen yet"
        self._connect = connect
        self._check_every = check_every
        self._connection: Any = None
        self._is_asking = False
        self._answers: list[Any] = []
        self._check_at = 0.0
        self._pause = _FIRST_PAUSE
        self._queues: set[str] = set()
        self._is_every_queue = False

    def fileno(self) -> int:
        """Return the descriptor to wait for; -1 when there is none. `renew` may change it."""
        return -1 if self._connection is None else int(self._connection.fileno())

    def take(self) -> frozenset[str] | None:
        """Return the queues with notifications since the last call; None for any queue."""
        self._read()
        queues = None if self._is_every_queue else frozenset(self._queues)
        self._queues, self._is_every_queue = set(), False
        return queues

    def renew(self) -> None:
        """Open the connection again after a loss, and check now and then that it listens."""
        self._read()
        now = time.monotonic()
        if now < self._check_at:
            return
        if self._is_asking:
            self._lose(f"the server has not answered for {self._check_every:g} s")
        elif self._connection is None:
            self._open()
        if self._connection is not None:
            self._ask()
        self._check_at = now + (self._pause if self._connection is None else self._check_every)

    def close(self) -> None:
        """Close the connection."""
        self._lose("it is closed")

    def _open(self) -> None:
        self._pause = min(2 * self._pause, self._check_every)
        try:
            self._connection = self._connect()
        except StoreError as error:
            self.problem = str(error)

    def _ask(self) -> None:
        connection = self._connection.pgconn
        with self._losing():
            check = statements(POSTGRES)["check_listening"].format(process=connection.backend_pid)
            connection.send_query(check.encode())
            self._is_asking = True

    def _read(self) -> None:
        """Take in all that the server has sent, without waiting for more."""
        if self._connection is None:
            return
        connection = self._connection.pgconn
        with self._losing():
            connection.consume_input()
            while (found := connection.notifies()) is not None:
                self._note(found.extra.decode("utf-8", "replace"))
            while self._is_asking and not connection.is_busy():
                self._take_answer(connection.get_result())

    def _take_answer(self, result: Any) -> None:
        """Take one of the results of a check; None after the last, when it has taken effect."""
        if result is not None:
            self._answers.append(result)
            return
        answers, self._answers, self._is_asking = self._answers, [], False
        refusals = [one.error_message for one in answers if one.error_message]
        if refusals:
            self.problem = refusals[0].decode("utf-8", "replace").split("\n", 1)[0]
            return
        is_direct, was_listening = (answers[0].get_value(0, column) == b"t" for column in (0, 1))
        self.problem = None if is_direct else _BEHIND_A_POOLER
        self._is_every_queue |= is_direct and not was_listening  # some may have been missed
        self._pause = _FIRST_PAUSE

    def _note(self, payload: str) -> None:
        queues = _queues_in(payload)
        self._is_every_queue |= queues is None
        self._queues.update(queues or ())

    @contextmanager
    def _losing(self) -> Iterator[None]:
        """Give up the connection when the driver reports that it is lost."""
        try:
            yield
        except Exception as error:
            if not is_from_driver(error):
                raise
            self._lose(f"the connection was lost: {' '.join(str(error).split())}")
            self._check_at = 0.0

    def _lose(self, problem: str) -> None:
        self.problem, self._is_asking, self._answers = problem, False, []
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()


def _queues_in(payload: str) -> list[str] | None:
    """Return the queues of a notification; None for every queue, also where it is not gigq's."""
    try:
        queues = json.loads(payload)
    except ValueError:
        return None
    is_list = isinstance(queues, list) and all(isinstance(queue, str) for queue in queues)
    return queues if is_list and _EVERY_QUEUE not in queues else None
