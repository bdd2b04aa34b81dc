"""The lease of a process with plain workers, on a PostgreSQL server.

A daemon kills its jobs before its lease is over. A plain worker cannot: it ends its own process.
"""

from __future__ import annotations

import atexit
import logging
import math
import os
import select
import threading
from contextlib import suppress
from typing import TYPE_CHECKING
from weakref import WeakSet, WeakValueDictionary

from gigq import events
from gigq.errors import StoreError
from gigq.execution.process_row import this_process
from gigq.model.cached_property import cached_property
from gigq.model.lease import boot_time
from gigq.store.database import Database
from gigq.store.lease_renewal import LeaseRenewal
from gigq.store.verbs import processes

if TYPE_CHECKING:
    from gigq.execution.callbacks import Callbacks
    from gigq.model.claim import Claim
    from gigq.model.execution_result import ExecutionResult
    from gigq.store.backend import Backend

EXIT_CODE = 75
"""The exit code of a process whose lease could not be renewed while it ran a job."""

_END_PROCESS_AT = 12
_SHORTEST_SLEEP, _LONGEST_SLEEP = 0.05, 0.5
_PATIENCE = 1.0
_SHOWN_FOR = 3600.0
_NEVER = -math.inf


class _Users:
    """The leases that use the row of this process in a database.

    Attributes:
        lock: held while one is added, and while the row is deleted.
        leases: those that may hold claims or run jobs.
    """

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.leases: WeakSet[PlainLease | EndlessLease] = WeakSet()


class PlainLease:
    """The lease of this process, renewed by a thread while its workers claim or run jobs.

    The thread has a connection of its own. A second thread watches the end of the lease, so that no
    wait for the server delays it. Code in C that holds the interpreter lock stops both.

    Args:
        backend: the database.
        length: the length of the lease in seconds.
    """

    def __init__(self, backend: Backend, length: float) -> None:
        self._backend = backend
        self._length = length
        self.begin()

    def begin(self) -> None:
        """Start without a lease; so does a forked child, which inherits none and no threads."""
        vars(self).pop("_renewal", None)
        self._running: dict[str, int] = {}
        self._is_ending = False
        self._claimed_at = 0.0
        self._at_claim = threading.local()
        self._lock = threading.Lock()
        self._ended = threading.Event()
        self._ended.set()
        self._is_exiting = False
        self._woken, self._has_left = threading.Event(), threading.Event()

    def for_claim(self) -> str:
        """Return the run of this process, which has a lease now.

        Raises:
            StoreError: the lease could not be renewed.
        """
        self._claimed_at = boot_time()
        with self._lock:
            if self._ended.is_set():
                with self._users.lock:
                    self._users.leases.add(self)
            if self._renewal.lease.left <= self._length / 2:
                self._renewal.renew()
            if self._ended.is_set():
                self._start_threads()
        self._at_claim.number = self._renewal.lease.number
        return self._backend.run()

    @cached_property
    def _renewal(self) -> LeaseRenewal:
        process = this_process(self._backend.run(), self._length)
        return LeaseRenewal(Database(self._backend.connection, _PATIENCE), process)

    def guarded(self, given: Callbacks) -> Callbacks:
        """Return callbacks of a worker that also note its running jobs here."""

        def may_start(claim: Claim) -> bool:
            if self._is_over() or not given.may_start(claim):
                return False
            self._running[claim.execution_id] = self._at_claim.number
            if self._is_over():  # again: before this, `end` saw no running job
                del self._running[claim.execution_id]
                return False
            return True

        def finished(claim: Claim, result: ExecutionResult) -> ExecutionResult:
            self._running.pop(claim.execution_id, None)
            return given.finished(claim, result)

        return given._replace(finished=finished, may_start=may_start)

    def end(self) -> None:
        """Delete the row of the process, unless one of its workers runs a job or may do so."""
        with self._lock:
            self._is_ending = True
            try:
                if not self._running and not self._ended.is_set():
                    self._end_unless_shared()
            finally:
                self._is_ending = False

    def end_at_exit(self) -> None:
        """Let the thread that renews it end it, and wait for a second at most."""
        if not self._ended.is_set():
            self._has_left.clear()  # the thread of an earlier lease has set it
            self._is_exiting = True
            self._woken.set()
            self._has_left.wait(_PATIENCE)

    def _end_unless_shared(self) -> None:
        with self._users.lock:
            if any(isinstance(lease, EndlessLease) for lease in self._users.leases):
                return  # they renew nothing
            self._users.leases.discard(self)
            self._ended.set()
            self._woken.set()
            self._renewal.lease = self._renewal.lease._replace(ends=0.0)
            with suppress(StoreError):  # its lease ends by itself
                self._renewal.forget()

    @property
    def _users(self) -> _Users:
        return _users_of(self._backend.run())

    def _is_over(self) -> bool:
        """Return True when another host may have taken back what this thread has claimed."""
        lease, last = self._renewal.lease, self._length / _END_PROCESS_AT
        return self._is_ending or lease.number != self._at_claim.number or lease.left <= last

    def _start_threads(self) -> None:
        ended = threading.Event()
        for name, target in (("gigq-lease-end", self._watch), ("gigq-lease", self._renew)):
            threading.Thread(target=target, args=[ended], name=name, daemon=True).start()
        self._ended = ended

    def _renew(self, ended: threading.Event) -> None:
        """Renew the lease until no worker of this process has claimed for its whole length."""
        while not ended.is_set():
            self._woken.wait(min(_LONGEST_SLEEP, self._length / _END_PROCESS_AT))
            self._woken.clear()
            if self._is_exiting:
                self.end()
                self._has_left.set()
            with self._lock, suppress(StoreError):  # tried again until the lease is over
                if not ended.is_set():
                    self._renewal.renew_if_due()
                    self._renewal.forget_ended_if_due()
            if boot_time() - self._claimed_at > self._length:
                self.end()
        self._has_left.set()
        self._backend.close()

    def _watch(self, ended: threading.Event) -> None:
        """End the process before the lease is over, if it runs a job then.

        A job of an earlier lease ends it, too: the process was stopped until that one was over.
        """
        left = self._length
        while not ended.wait(min(max(left, _SHORTEST_SLEEP), _LONGEST_SLEEP)):
            numbers = {*self._running.copy().values()}
            lease = self._renewal.lease  # read last, as a job may begin under a new one
            left = lease.left - self._length / _END_PROCESS_AT
            if numbers and (left <= 0 or numbers != {lease.number}):
                self._end_process()

    def _end_process(self) -> None:
        text = (
            f"the lease of {self._length:g} s could not be renewed, since the database cannot be "
            "reached; this process ends, because other hosts may run its jobs"
        )
        try:
            _say(f"gigq: process {os.getpid()}: {text}\n")
            emitting = threading.Thread(target=self._emit, args=[text], daemon=True)
            emitting.start()
            emitting.join(min(_PATIENCE, self._length / _END_PROCESS_AT / 2))
        finally:  # also when the job has closed the standard error, or no thread can start
            os._exit(EXIT_CODE)

    def _emit(self, reason: str) -> None:
        run = self._backend.run()
        events.emit(events.LEASE_NOT_RENEWED, level=logging.CRITICAL, run=run, reason=reason)


class EndlessLease:
    """A process whose workers have connections of the application's own.

    No thread may use those beside a job, so that nothing can renew a lease: the process counts as
    alive until another process of its host sees that it has ended. Other workers use the same row.
    """

    def __init__(self, backend: Backend) -> None:
        self._backend = backend
        self.begin()

    def begin(self) -> None:
        """Start without a row; so does a forked child."""
        self._run = ""
        self._shown_at = _NEVER

    def for_claim(self) -> str:
        """Return the run of this process, whose row exists now.

        Raises:
            StoreError: it could not be stored.
        """
        if boot_time() - self._shown_at > _SHOWN_FOR:
            shown_at, self._run = boot_time(), self._backend.run()
            users = _users_of(self._run)
            with users.lock:
                users.leases.add(self)
            database = Database(self._backend.connection)
            processes.renew(database, this_process(self._run, None))
            processes.forget_ended(database, _SHOWN_FOR)
            self._shown_at = shown_at
        return self._run

    def guarded(self, given: Callbacks) -> Callbacks:
        """Return the callbacks as they are."""
        return given

    def end(self) -> None:
        """Delete the row of the process, unless other workers of it use the row."""
        if not self._run:
            return
        users, run = _users_of(self._run), self._run
        self.begin()
        with users.lock:
            users.leases.discard(self)
            if not users.leases:
                with suppress(StoreError):
                    processes.forget(Database(self._backend.connection), run)


def lease_of(backend: Backend) -> PlainLease | EndlessLease:
    """Return the lease of this process at a database on a server.

    All workers of the process share it, but not those with connections of their own.
    """
    if backend.lease:
        return _leases.setdefault(str(backend.path), PlainLease(backend, backend.lease))
    return _endless.setdefault(id(backend), EndlessLease(backend))


def _users_of(run: str) -> _Users:
    return _users_by_run.setdefault(run, _Users())


def _end_at_exit() -> None:
    for lease in [*_leases.values()]:
        lease.end_at_exit()


def _begin_in_child() -> None:
    # In place: the workers that the parent has used keep these objects.
    leases: list[PlainLease | EndlessLease] = [*_leases.values(), *_endless.values()]
    for lease in leases:
        lease.begin()


def _say(text: str) -> None:
    """Write to the standard error, unless it is closed or its reader would hold up the process."""
    poll = select.poll()
    poll.register(2, select.POLLOUT)
    if [mask for _, mask in poll.poll(0)] == [select.POLLOUT]:
        os.write(2, text.encode())


_leases: dict[str, PlainLease] = {}
_endless: WeakValueDictionary[int, EndlessLease] = WeakValueDictionary()
"""By the identity of a backend, which the lease keeps; a worker keeps the lease."""
_users_by_run: dict[str, _Users] = {}
"""A forked child has another run."""
os.register_at_fork(after_in_child=_begin_in_child)
atexit.register(_end_at_exit)
