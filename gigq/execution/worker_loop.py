"""The loop of a plain worker: rescue lost jobs, work, sleep."""

from __future__ import annotations

import logging
import time
from typing import TYPE_CHECKING, Protocol

from gigq import events
from gigq.errors import LockedByThisThread, StoreUnavailable
from gigq.execution.process_row import shown
from gigq.model import clock
from gigq.store.sqlite.processes import run_locks
from gigq.store.verbs import expiry, settle_and_claim

if TYPE_CHECKING:
    from collections.abc import Callable

    from gigq.execution.runner import Runner
    from gigq.execution.stop_signals import StopNotice

_CHECK_EVERY = 1.0
_AFTER_AN_ERROR = 1.0
_LOOK_EVERY = 5.0


class Loopable(Protocol):
    """The parts of a `Worker` that its loop uses."""

    running: bool
    polling_interval: float

    def work_off(self, keep_going: Callable[[], bool]) -> int:
        """Run jobs until nothing is due or `keep_going()` is false."""
        ...


class WorkerLoop:
    """The loop in each thread of a worker, until the worker is stopped.

    1. Settles overdue and lost executions, at least once a second while there is work.
    2. Runs the due jobs.
    3. Sleeps until a wakeup, a stop, the next due time or the end of the polling interval; after a
       write to the file without a wakeup for a fifth of a second at most.

    An unavailable database is logged and tried again.
    """

    def __init__(
        self,
        worker: Loopable,
        runner: Runner,
        stop_notice: StopNotice,
        take_back: Callable[[], None],
    ) -> None:
        self._worker = worker
        self._runner = runner
        self._take_back = take_back
        self._stop_notice = stop_notice
        self._look_at = 0.0

    def run(self) -> None:
        """Work until the worker is stopped, or until an error that waiting cannot cure."""
        with shown(self._runner.store.backend):
            self._run()

    def _run(self) -> None:
        runner = self._runner
        store, logger, worker_id = runner.store, runner.logger, runner.worker_id
        runner.transactions.end("worker_start")
        events.emit(events.WORKER_STARTED, source=logger, worker=worker_id)
        self._listener = store.backend.listener(runner.settings.queues)
        runner.waking.before_work = self._listener.rest
        self._watch = store.backend.watch()
        try:
            while self._worker.running:
                self._turn()
        finally:
            self._watch.close()
            self._listener.close()
            store.backend.close()
            events.emit(events.WORKER_STOPPED, source=logger, worker=worker_id)

    def _turn(self) -> None:
        try:
            # The claims below will find the jobs of all wakeups so far.
            if self._listener.drain():
                self._runner.waking.note_idle()
            self._watch.take()
            run_locks.retake()
            self._look_at_rights()
            self._take_back()
            self._runner.transactions.end("subscriber")
            if self._is_idle_after_work() and self._worker.running:
                self._sleep()
        except LockedByThisThread:
            raise  # a job left its transaction open, and only the end of the process ends it
        except StoreUnavailable as error:
            self._wait_out(error)

    def _look_at_rights(self) -> None:
        if time.monotonic() >= self._look_at:
            self._runner.store.refuse_hidden_tables()
            self._look_at = time.monotonic() + _LOOK_EVERY

    def _is_idle_after_work(self) -> bool:
        check_at = time.monotonic() + _CHECK_EVERY
        self._worker.work_off(lambda: self._worker.running and time.monotonic() < check_at)
        return time.monotonic() < check_at

    def _sleep(self) -> None:
        """Sleep until a wakeup or the kernel reports work, or until the pause is over."""
        stop = self._stop_notice.fileno()
        is_another_file = self._watch.renew()
        watched = self._watch.descriptors()
        pause = self._pause()
        if watched and not is_another_file:
            woken = self._listener.wait(pause, [stop, *watched])
            if woken or not self._watch.take():
                return
        # A write was reported or may be missed: usually its wakeup follows at once.
        self._listener.wait(min(pause, self._watch.longest_sleep), [stop])

    def _pause(self) -> float:
        store, queues = self._runner.store, self._runner.settings.queues
        due_at = settle_and_claim.next_due_at(store.database, queues)
        now = store.database.now
        pause = clock.seconds_until(due_at, self._worker.polling_interval, now)
        return clock.seconds_until(expiry.next_expiry_at(store.database), pause, now)

    def _wait_out(self, error: StoreUnavailable) -> None:
        events.emit(
            events.STORE_UNAVAILABLE,
            level=logging.ERROR,
            source=self._runner.logger,
            error=str(error),
        )
        self._stop_notice.wait(_AFTER_AN_ERROR)


def run_in_threads(loop: Callable[[int], None], count: int) -> None:
    """Run a loop in so many threads, each with its number; raise the first one's exception."""
    # Late: most workers have one thread, and this module is slow to import.
    from concurrent.futures import ThreadPoolExecutor

    with ThreadPoolExecutor(count, thread_name_prefix="gigq-worker") as pool:
        futures = [pool.submit(loop, number) for number in range(count)]
    for future in futures:
        future.result()
