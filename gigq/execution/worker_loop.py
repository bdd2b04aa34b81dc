"""The loop of a plain worker: take back lost jobs, work, sleep."""

from __future__ import annotations

import logging
import time
from typing import TYPE_CHECKING, Protocol

from gigq import events
from gigq.errors import LockedByThisThread, StoreUnavailable
from gigq.model import clock
from gigq.store.sqlite.processes import run_locks
from gigq.store.verbs import exchange

if TYPE_CHECKING:
    from collections.abc import Callable

    from gigq.execution.runner import Runner
    from gigq.execution.stop_signals import StopNotice

_CHECK_EVERY = 1.0
_AFTER_A_WRITE = 0.2
_AFTER_TROUBLE = 1.0


class Loopable(Protocol):
    """The parts of a `Worker` that its loop uses."""

    running: bool
    polling_interval: float

    def work_off(self, keep_going: Callable[[], bool]) -> int:
        """Run jobs until nothing is due or `keep_going()` is false."""
        ...


class WorkerLoop:
    """Runs in each thread of a worker until the worker is stopped.

    1. Takes back what is overdue or lost, at least once a second while there is work.
    2. Works off what is due.
    3. Sleeps until a wake-up, a stop, the next due time, or the polling interval is over; for a
       fifth of a second at most once something was written to the file without a wake-up.

    A database that cannot be used now is logged and tried again.
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

    def run(self) -> None:
        """Work until the worker is stopped, or an error comes that no wait can help."""
        runner = self._runner
        store, logger, worker_id = runner.store, runner.logger, runner.worker_id
        events.emit(events.WORKER_STARTED, source=logger, worker=worker_id)
        self._listener = store.backend.listener(runner.settings.queues)
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
            # Wake-ups so far were for jobs that the look below will find.
            if self._listener.drain():
                self._runner.took_wakeups()
            self._watch.take()
            run_locks.retake()
            self._take_back()
            if self._is_idle_after_work() and self._worker.running:
                self._sleep()
        except LockedByThisThread:
            raise  # a job has left its transaction open: nothing but the end of the process ends it
        except StoreUnavailable as error:
            self._wait_out(error)

    def _is_idle_after_work(self) -> bool:
        check_at = time.monotonic() + _CHECK_EVERY
        self._worker.work_off(lambda: self._worker.running and time.monotonic() < check_at)
        return time.monotonic() < check_at

    def _sleep(self) -> None:
        """Sleep until there is work, as far as the wake-ups and the kernel report it."""
        stop = self._stop_notice.fileno()
        is_another_file = self._watch.renew()
        watched = self._watch.descriptors()
        pause = self._pause()
        if watched and not is_another_file:
            woken = self._listener.wait(pause, [stop, *watched])
            if woken or not self._watch.take():
                return
        # Something was written, or may have been: most likely a wake-up comes with it.
        self._listener.wait(min(pause, _AFTER_A_WRITE), [stop])

    def _pause(self) -> float:
        runner = self._runner
        due_at = exchange.next_due_at(runner.store.database, runner.settings.queues)
        return clock.seconds_until(due_at, self._worker.polling_interval)

    def _wait_out(self, error: StoreUnavailable) -> None:
        events.emit(
            events.STORE_UNAVAILABLE,
            level=logging.ERROR,
            source=self._runner.logger,
            error=str(error),
        )
        self._stop_notice.wait(_AFTER_TROUBLE)


def run_in_threads(loop: Callable[[int], None], count: int) -> None:
    """Run a loop in so many threads, each with its number, and raise what the first one raised."""
    # Late: most workers have one thread, and this module is slow to import.
    from concurrent.futures import ThreadPoolExecutor

    with ThreadPoolExecutor(count, thread_name_prefix="gigq-worker") as pool:
        futures = [pool.submit(loop, number) for number in range(count)]
    for future in futures:
        future.result()
