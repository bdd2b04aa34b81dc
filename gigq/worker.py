"""`Worker`: claims due jobs, runs and settles them, and sleeps while no job is due."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

from gigq import events
from gigq.execution import attempt, plain_worker_rescue
from gigq.execution.callbacks import Callbacks, Overrides, Settings
from gigq.execution.hooks import Hooks, worker_hooks
from gigq.execution.job_context import PlainJobContext
from gigq.execution.runner import Runner
from gigq.execution.stop_signals import StopNotice, stop_signals
from gigq.execution.worker_loop import WorkerLoop, run_in_threads
from gigq.model import codec, scripts, served_queues, signatures
from gigq.model.cached_property import cached_property
from gigq.model.ids import new_id
from gigq.model.job_status import JobStatus
from gigq.model.storable_text import storable
from gigq.store.backend import BackendOfPath, StoreHandle
from gigq.store.database import LOCK_TIMEOUT
from gigq.store.sqlite.file.filesystem import DatabasePath
from gigq.store.verbs import settle_and_claim
from gigq.worker_backend import backend_of_worker

if TYPE_CHECKING:
    import logging
    import os
    from collections.abc import Callable, Iterable

    from gigq.queue import JobQueue

_REPLACEABLE = ("_claim_job", "_complete_job", "process_one")


class Worker:
    """Runs the jobs of a queue in this process. A hard stop of an overrunning job needs gigqd.

    1. Settles jobs past their timeout, and jobs of plain workers that died.
    2. Claims the best due job: highest priority, then oldest.
    3. Runs it; in the main thread a timer signal raises `JobTimeout` in it when it overruns.
    4. Settles it: completed, tried again, or ended.

    A subclass that overrides `_claim_job`, `_complete_job` or `process_one` runs one job at a time.

    Attributes:
        db_path: the database file, as an absolute path.
        backend: the access to this file; a worker for a queue in memory shares that of the queue.
        worker_id: the worker's name, as stored and shown.
        running: True while `start` is to continue.
        lock_timeout: seconds to wait for a locked database before `StoreLocked`.
        durable: True when claims and outcomes must survive a power cut, with an fsync for each;
            otherwise a power cut may undo the last of them, and their jobs run again.
        max_result_size: maximum size of a result, in bytes of JSON.
        allow: shell-style patterns of the functions it may run; None for every one.
        hooks: the application's functions around its jobs and workers; None for none.
        most_at_once: maximum number of short jobs that `work_off` claims and settles together.
            Above 1, claimed jobs that had not started when the worker dies lose an attempt.
        notice: called with a line of text by the signal handler of `start`; it must not wait.
    """

    db_path = DatabasePath()
    backend = BackendOfPath()
    worker_id: str = "worker"
    polling_interval: float = 5
    concurrency: int = 1
    queues: tuple[str, ...] | None = None
    running: bool = False
    lock_timeout: float = LOCK_TIMEOUT
    durable: bool = False
    max_result_size: int = codec.DEFAULT_LIMIT
    allow: tuple[str, ...] | None = None
    hooks: Hooks | None = None
    most_at_once: int = 1
    notice: Callable[[str], None] = staticmethod(lambda _text: None)
    _stop_notice: StopNotice | None = None
    _callbacks: Callbacks = Callbacks()
    _opened: StoreHandle | None = None

    def __init__(
        self,
        db_path: str | os.PathLike[str] | JobQueue,
        worker_id: str | None = None,
        polling_interval: float = 5,
        concurrency: int = 1,
        *,
        queues: Iterable[str] | None = None,
        max_result_size: int | None = None,
        hooks: str | None = None,
        callbacks: Callbacks | None = None,
    ) -> None:
        """Make a worker. It opens the database at its first use.

        Args:
            db_path: the database file, or the queue; a relative path is resolved now.
            worker_id: a unique name; generated when not given.
            polling_interval: the longest sleep in seconds while nothing is due. A submit on the
                same host wakes the worker at once, and any other write to the file within a
                quarter of a second.
            concurrency: number of jobs at a time, each in a thread. An overrunning job in such a
                thread is not interrupted, only marked.
            queues: the names of the queues to serve; `"*"` with `"!name"` for every queue but
                that one; None for all.
            max_result_size: maximum size of a result, in bytes of JSON; None for 1 MiB.
            hooks: the dotted name of a module with `before_job`, `after_job` and the like.
            callbacks: functions that the worker calls for its jobs, as in
                `gigq.execution.callbacks`.

        Raises:
            ValueError: a number or the list of queues is not valid.
        """
        if concurrency < 1:
            raise ValueError(f"concurrency is {concurrency}; a worker needs at least 1 thread")
        if polling_interval <= 0:
            raise ValueError(f"polling_interval is {polling_interval}; give seconds above 0")
        if max_result_size is not None:
            self.max_result_size = codec.checked_limit(max_result_size)
        self.db_path, self.backend = backend_of_worker(db_path)
        self.worker_id = storable(worker_id) if worker_id else f"worker-{new_id()}"
        self.polling_interval = polling_interval
        self.concurrency = concurrency
        self.queues = served_queues.checked(queues)
        self.hooks = Hooks(hooks) if hooks else None
        self._callbacks = callbacks or self._callbacks

    def start(self) -> None:
        """Work until `stop` is called, or INT or TERM comes; the current job is finished first.

        A second signal raises `JobStopped` in the job of the main thread, a third ends the
        process. While the database is locked or missing, the worker waits for it.

        Raises:
            StoreError: the database cannot be used at all.
            HookFailed: the hooks cannot be imported, or `worker_start` has failed.
        """
        scripts.refuse_while_loading()
        self.running = True
        self._stop_notice = stop_notice = StopNotice()
        try:
            with stop_signals(self._halt, self._interrupt, self.notice), worker_hooks(self.hooks):
                if self.concurrency == 1:
                    self._worker_loop()
                else:
                    run_in_threads(self._worker_loop, self.concurrency)
        finally:
            self._stop_notice = None
            stop_notice.close()

    def stop(self) -> None:
        """Make `start` return after the current job. Any thread may call it."""
        events.emit(events.WORKER_STOPPING, source=self.logger, worker=self.worker_id)
        self._halt()

    def process_one(self) -> bool:
        """Claim one job, run it and settle it.

        Returns:
            False when no job was due.

        Raises:
            StoreError: the database could not be used within the lock timeout.
            KeyboardInterrupt: Ctrl-C was pressed while the job ran; its attempt is released.
        """
        scripts.refuse_while_loading()
        return self._runner.process_one()

    def work_off(self, keep_going: Callable[[], bool]) -> int:
        """Claim, run and settle until nothing is due or `keep_going()` is false.

        Each settle and the next claim are one transaction. Results that an earlier call could
        not record, because the database was missing, are recorded first.

        Args:
            keep_going: called before every claim.

        Returns:
            The number of jobs that ran.

        Raises:
            StoreError: as `process_one`. A result that is not settled yet is kept.
        """
        if any(self._overrides(name) for name in _REPLACEABLE):
            return self._work_off_one_by_one(keep_going)
        return self._runner.work_off(keep_going)

    def _work_off_one_by_one(self, keep_going: Callable[[], bool]) -> int:
        done = 0
        while keep_going() and self.process_one():
            done += 1
        return done

    def close(self) -> None:
        """Close this thread's connection; the next use opens another."""
        self.backend.close()

    @property
    def current_job_id(self) -> str | None:
        """The id of the job that this thread runs, or None."""
        return self._runner.current_job_id

    @current_job_id.setter
    def current_job_id(self, job_id: str | None) -> None:
        self._runner.current_job_id = job_id

    @property
    def logger(self) -> logging.Logger:
        """The logger of this thread's worker."""
        return self._runner.logger

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        signatures.note_worker_class(cls)

    # The names that subclasses override or call.

    def _get_connection(self) -> Any:
        """Return this thread's connection to the database, without an open transaction."""
        return self.backend.connection()

    def _import_function(self, module_name: str, function_name: str) -> Callable[..., Any]:
        """Find a job's function.

        Args:
            module_name: the dotted module name, or the absolute path of a script.
            function_name: the name in it.
        """
        return self._callbacks.import_function(module_name, function_name)

    def _claim_job(self) -> dict[str, Any] | None:
        """Claim the best due job; return its row with `execution_id`, None when nothing is due."""
        row = settle_and_claim.claim(self._store.database, self._runner.claimant, new_id())
        return None if row is None else codec.decode_row(row)

    def _complete_job(
        self,
        job_id: str,  # noqa: ARG002 - for subclasses; the execution names the job
        execution_id: str,
        status: JobStatus,
        result: Any = None,
        error: str | None = None,
    ) -> None:
        """Settle an execution for good: the job gets no further attempt.

        With a result that cannot be stored it is FAILED; the error names a remedy.

        Args:
            job_id: the job.
            execution_id: its execution.
            status: COMPLETED, FAILED, TIMEOUT or CANCELLED.
            result: what the function returned.
            error: the error as text.
        """
        limit = self.max_result_size
        result = attempt.result_with(JobStatus(status), result, "the result", limit)
        result = result._replace(error=result.error or error, final=True)
        self._runner.complete(execution_id, result)

    def _check_for_timeouts(self) -> None:
        """Settle jobs of dead plain workers, and jobs past their timeout."""
        plain_worker_rescue.take_back(self._store.database, self.backend)

    def _worker_loop(self, thread_index: int = 0) -> None:
        """Work in this thread until the worker is stopped."""
        self._setup_thread_state(thread_index)
        assert self._stop_notice is not None
        try:
            WorkerLoop(self, self._runner, self._stop_notice, self._check_for_timeouts).run()
        finally:
            self._halt()  # an error in one thread ends all of them
            self.close()

    def _setup_thread_state(self, thread_index: int = 0) -> None:
        """Start this thread anew, with its own worker id when there are several."""
        several = self.concurrency > 1
        worker_id = f"{self.worker_id}-{thread_index}" if several else self.worker_id
        self._threads.runner = self._new_runner(worker_id)

    def _new_runner(self, worker_id: str) -> Runner:
        store, given = self._store, self._callbacks
        callbacks = given._replace(
            import_function=self._calling("_import_function"),
            job_context=given.job_context
            or PlainJobContext(store.is_cancel_requested, self._is_stopping),
        )
        overrides = Overrides(
            self._calling("_check_for_timeouts"),
            self._claim_job if self._overrides("_claim_job") else None,
            self._complete_job if self._overrides("_complete_job") else None,
        )
        return Runner(worker_id, store, self._settings, callbacks, overrides)

    @property
    def _runner(self) -> Runner:
        """This thread's runner, with the settings that the worker has now."""
        runner = self._threads.runner
        if runner is None or runner.store.backend is not self.backend:
            runner = self._threads.runner = self._new_runner(self.worker_id)
        runner.settings = self._settings
        return runner

    @property
    def _settings(self) -> Settings:
        return Settings(
            self.queues, self.allow, self.max_result_size, self.hooks, self.most_at_once
        )

    @property
    def _store(self) -> StoreHandle:
        """The access to the queue; a new one after `db_path` was set."""
        if self._opened is None or self._opened.backend is not self.backend:
            self._opened = StoreHandle(
                self.backend,
                self._calling("_get_connection"),
                lock_timeout=lambda: self.lock_timeout,
                durable=self.durable,
            )
        return self._opened

    def _is_stopping(self) -> bool:
        return self._stop_notice is not None and not self.running

    def _calling(self, name: str) -> Callable[..., Any]:
        """Return a function that looks a method up at each call: it may be replaced later."""
        return lambda *arguments: getattr(self, name)(*arguments)  # noqa: PLW0108 - looked up late

    def _overrides(self, name: str) -> bool:
        """Return True when a subclass overrides a method."""
        return getattr(type(self), name) is not getattr(Worker, name)

    def _interrupt(self) -> None:
        if self._threads.runner is not None:
            self._threads.runner.interrupt()

    def _halt(self) -> None:
        # Only a flag and a byte: this runs in signal handlers too.
        self.running = False
        if self._stop_notice is not None:
            self._stop_notice.set()

    @cached_property
    def _threads(self) -> _Threads:
        return _Threads()


class _Threads(threading.local):
    """The runner of each thread that uses a worker."""

    runner: Runner | None = None
