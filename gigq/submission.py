"""Checks of new jobs that need no database, and the rows to store."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from operator import attrgetter, itemgetter
from typing import TYPE_CHECKING, Any, NamedTuple

from gigq.errors import FunctionNotImportable, InvalidJob, WrongParameters
from gigq.model import clock, codec, function_import, retry_options, signatures, start_times
from gigq.model.cached_property import cached_property
from gigq.model.job import Job
from gigq.model.job_checks import check, created_at_of, is_plain_by_itself, memory_limit_of
from gigq.model.retry_options import NO_OPTIONS, UnsetDelay
from gigq.model.start_times import StartTimes
from gigq.store.job_row import NO_PARENTS, NULL, JobRow
from gigq.task import TaskWrapper

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from gigq.model.signatures import Signature
    from gigq.store.job_row import Values

_ALIKE = attrgetter(
    *("function", "queue", "priority", "max_attempts", "timeout", "retry_delay"),
    *("on_parent_failure", "pass_parent_results", "memory_limit", "crash_limit", "workflow"),
    *("retry_options", "run_at", "delay", "expires_in", "expires_at"),
)
_TIMES = ("run_at", "delay", "expires_in", "expires_at")
_AT_ONCE = StartTimes(None, None)
_PLAIN = frozenset({str, int, float, bool, type(None)})
_MOST_KINDS = 1000
_UP_TO_POINT = len("2026-11-23T19:09:12.")

_OWN = JobRow._fields.index("id")
_shared: Callable[[Mapping[str, Any]], Values] = itemgetter(*JobRow._fields[:_OWN])
_own: Callable[[Mapping[str, Any]], Values] = itemgetter(*JobRow._fields[_OWN:])


def rows_to_store(
    jobs: Iterable[Job],
    most: int,
    *,
    compare: bool = True,
    now: Callable[[], str] = clock.utc_now,
) -> list[Values]:
    """Return the values of a `JobRow` for each job, in their order.

    Args:
        jobs: the jobs.
        most: maximum size of a job's parameters, in bytes of JSON.
        compare: True to compare parameters with the function's signature.
        now: returns the database's time, from which delays count.

    Raises:
        InvalidJob: one of them cannot be stored as it is.
        TypeError: one of them is not a job.
    """
    return list(_Batch(most, compare=compare, now=now).rows_to_store(jobs))


def listed(jobs: Iterable[Job]) -> list[Job]:
    """Return jobs as a list.

    Raises:
        TypeError: it is one job, a task or a workflow.
    """
    if isinstance(jobs, Job | TaskWrapper) or not isinstance(jobs, Iterable):
        raise TypeError(
            f"submit_many() takes a list of jobs, and {codec.short(jobs)} is a "
            f"{type(jobs).__name__}; use submit() for one job, and submit_all() of a workflow"
        )
    return list(jobs)


class _Kind(NamedTuple):
    """The values that jobs of a batch share.

    Attributes:
        values: the values of the first such job. This reference keeps their identities unique.
        columns: the fields of a `JobRow` up to the first that differs from job to job.
        signature: the function's; None when parameters are not compared with it.
    """

    values: tuple[Any, ...]
    columns: tuple[Any, ...]
    signature: Signature | None


class _Batch:
    """Checks jobs and turns each into its row.

    The jobs of a batch usually differ in a few values only. The others are checked once and then
    recognized by their identity; equality is not enough, since True equals 1.
    """

    def __init__(self, most: int, *, compare: bool, now: Callable[[], str]) -> None:
        self._most = most
        self._compare = compare
        self._now = clock.utc_now()
        self._ask_database = now
        self._kinds: dict[tuple[int, ...], _Kind] = {}

    def rows_to_store(self, jobs: Iterable[Job]) -> Iterator[Values]:
        second = ""
        for job in jobs:
            kind = self._kind_of(job)
            made = job.created_at
            # Most were created in the same second as the one before, with a time in stored form.
            if type(made) is not str or made[:_UP_TO_POINT] != second or not _ends_well(made):
                made = created_at_of(job, self._now)
                second = made[:_UP_TO_POINT]
            parents, params = job.dependencies, job.params
            encoded = self._encoded(job) if params else "{}"
            # Most jobs of a function have parameters of the same names.
            if kind.signature is not None and (
                parents or tuple(params) not in kind.signature.known_to_fit
            ):
                _check_params(job, kind.signature)
            own = {
                "id": job.id,
                "name": job.name,
                "description": job.description,
                "created_at": made,
                "dependencies": json.dumps(list(parents)) if parents else NO_PARENTS,
                "params": encoded,
                "unmet": 0,
            }
            yield kind.columns + _own(own)

    def _kind_of(self, job: Job) -> _Kind:
        try:
            values = _ALIKE(job)
        except AttributeError:
            _refuse_other_than_job(job)
            raise
        key = tuple(map(id, values))
        known = self._kinds.get(key)
        if known is None:
            check(job)
            if len(self._kinds) >= _MOST_KINDS:
                self._kinds.clear()
            signature = _signature(job) if self._compare else None
            known = self._kinds[key] = _Kind(values, self._columns(job), signature)
        elif not is_plain_by_itself(job):
            check(job)
        return known

    def _columns(self, job: Job) -> tuple[Any, ...]:
        """Return the columns that jobs of a batch may share."""
        if all(getattr(job, name) is None for name in _TIMES):
            return _columns(job, self._now, _AT_ONCE)
        now = self._database_now
        return _columns(job, now, start_times.times(job, now))

    @cached_property
    def _database_now(self) -> str:
        """Return the database's time, for a batch with a job that names a time."""
        return self._ask_database()

    def _encoded(self, job: Job) -> str:
        params = job.params
        try:
            encoded = codec.encode(params, "params", self._most)
            if not _PLAIN.issuperset(map(type, params.values())):
                codec.refuse_keys_that_change(params, "params")
        except InvalidJob as error:
            raise type(error)(f"job {job.name!r}: {error}") from None
        return encoded


def _ends_well(time: str) -> bool:
    return time[26:] == "+00:00" and time[20:26].isdecimal() and time.isascii()


def _columns(job: Job, now: str, times: StartTimes) -> tuple[Any, ...]:
    ref = _reference(job)
    return _shared(
        {
            "updated_at": now,
            "function_module": ref.module,
            "function_name": ref.name,
            "function_file": _or_null(ref.file),
            "queue": job.queue,
            "priority": job.priority,
            "max_attempts": job.max_attempts,
            "timeout": _or_null(job.timeout),
            "retry_delay": job.retry_delay,
            "retry_policy": _retry_policy(job),
            "retry_after": _or_null(times.retry_after),
            "expires_at": _or_null(times.expires_at),
            "due_why": NULL if times.retry_after is None else "delay",
            "on_parent_failure": job.on_parent_failure,
            "pass_parent_results": _or_null(job.pass_parent_results),
            "memory_limit": _or_null(memory_limit_of(job)),
            "crash_limit": _or_null(job.crash_limit),
            "workflow": _or_null(job.workflow),
        }
    )


def _retry_policy(job: Job) -> str:
    """Return the job's retry policy as JSON; NULL for a job without options about retries."""
    options = job.retry_options
    if options is NO_OPTIONS and type(job.retry_delay) is UnsetDelay:
        return NULL
    function = ""
    if retry_options.is_function(options.retry):
        with _naming(job):
            function = function_import.name_of(options.retry)
    policy = retry_options.policy_of(options, job.retry_delay, function)
    return NULL if policy is None else policy.to_json()


def _or_null(value: Any) -> Any:
    return NULL if value is None else value


def _signature(job: Job) -> Signature | None:
    function = job.function
    return signatures.of(function.__wrapped__ if isinstance(function, TaskWrapper) else function)


def _check_params(job: Job, signature: Signature) -> None:
    """Refuse parameters with which the function cannot be called."""
    gets_results = bool(job.dependencies) and (
        job.pass_parent_results or (job.pass_parent_results is None and signature.takes_results)
    )
    if not signature.fits(job.params, gets_results=gets_results):
        problem = signature.problem(job.params, gets_results=gets_results)
        raise WrongParameters(f"job {codec.short(job.name)}: {problem}")
    if not job.dependencies and len(signature.known_to_fit) < _MOST_KINDS:
        signature.known_to_fit.add(tuple(job.params))


def _refuse_other_than_job(given: Any) -> None:
    if isinstance(given, Job):
        return
    if isinstance(given, TaskWrapper):
        name = given.__name__
        raise TypeError(
            f"submit() takes a Job, and {name} is a task; write {name}.submit(queue, ...), or "
            f"queue.submit({name}.to_job(...))"
        )
    raise TypeError(
        f"submit() takes a Job, and {codec.short(given)} is a {type(given).__name__}; write "
        "Job(name, function, params), or decorate the function with @task"
    )


def _reference(job: Job) -> function_import.FunctionRef:
    with _naming(job):
        return function_import.describe(job.function)


@contextmanager
def _naming(job: Job) -> Iterator[None]:
    """Name the job in the error about a function."""
    try:
        yield
    except FunctionNotImportable as error:
        raise FunctionNotImportable(f"job {job.name!r}: {error}") from error
