"""Arguments of a runner: settings, callbacks of gigqd, overrides of a subclass."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from gigq.model import codec, function_import

if TYPE_CHECKING:
    from collections.abc import Callable

    from gigq.execution.hooks import Hooks
    from gigq.execution.job_context import JobContext
    from gigq.execution.job_events import JobEvents
    from gigq.execution.timer_interrupt import Interrupter
    from gigq.model.claim import Claim, Settled
    from gigq.model.execution_result import ExecutionResult
    from gigq.model.retry import Retry


class Settings(NamedTuple):
    """The jobs that a runner runs, and their number at a time.

    Attributes:
        queues: the queues it serves, as `gigq.model.served_queues` reads them; None for all.
        allow: shell-style patterns of the functions it may run; None for every one.
        max_result_size: maximum size of a result, in bytes of JSON.
        hooks: the application's functions around its jobs; None for none.
        most_at_once: maximum number of short jobs that are claimed and settled together.
        sharers: number of workers that share the due jobs; each takes at most a fair share.
        default_retry: the delays of jobs without delays of their own; None for none.
        unknown_function_wait: seconds that jobs whose function it does not find wait for another
            worker; 0 when they fail at once.
    """

    queues: tuple[str, ...] | None = None
    allow: tuple[str, ...] | None = None
    max_result_size: int = codec.DEFAULT_LIMIT
    hooks: Hooks | None = None
    most_at_once: int = 1
    sharers: int = 1
    default_retry: Retry | None = None
    unknown_function_wait: float = 0.0


class Callbacks(NamedTuple):
    """Functions and objects that a runner calls for its jobs, in the thread that runs them.

    Their exceptions are not caught. For one job the order is `started`, `finished`, `settled`.
    Settling a job and claiming the next one is a single transaction, so the next job is claimed
    before `settled` is called.

    Attributes:
        started: called when the attempt is stored, before the function is imported.
        finished: called with the result of the function; the result that it returns is settled.
        settled: called when the result is stored; with None when the execution was no longer the
            current one.
        may_claim: called again once the runner may write; with False it claims nothing.
        may_start: called before a job starts; with False its claim is released.
        import_function: finds a job's function by the names of its module and itself.
        interrupter: guards the run of each job; None for the timer of the main thread.
        job_context: answers jobs' questions about their limits; None for that of a plain worker.
        reports: sends the events of the jobs; None for one line per event.
        retry_function_starts: called with the job's error and the name of the function that is to
            compute the delay of its retry; that function may end the process.
    """

    started: Callable[[Claim], None] = lambda _claim: None
    finished: Callable[[Claim, ExecutionResult], ExecutionResult] = lambda _claim, result: result
    settled: Callable[[Claim, Settled | None], None] = lambda _claim, _settled: None
    may_claim: Callable[[], bool] = lambda: True
    may_start: Callable[[Claim], bool] = lambda _claim: True
    import_function: Callable[[str, str], Callable[..., Any]] = function_import.find
    interrupter: Interrupter | None = None
    job_context: JobContext | None = None
    reports: JobEvents | None = None
    retry_function_starts: Callable[[Claim, str, str], None] = lambda _claim, _error, _name: None


class Overrides(NamedTuple):
    """Methods of a subclass of `Worker` that replace a step of the runner.

    Attributes:
        check_for_timeouts: called before a single job is claimed.
        claim_job: returns the row of a claimed job; None where the runner claims by itself.
        complete_job: records a last result; None where the runner does.
    """

    check_for_timeouts: Callable[[], None] = lambda: None
    claim_job: Callable[[], Any] | None = None
    complete_job: Callable[..., None] | None = None
