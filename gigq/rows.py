"""New jobs as rows to store, after every check that needs no database."""

from __future__ import annotations

import json
from collections.abc import Iterable
from operator import attrgetter
from typing import TYPE_CHECKING, Any

from gigq import codec, functions, signatures
from gigq.errors import FunctionNotImportable, WrongParameters
from gigq.job import Job, check, created_at_of, is_plain_by_itself, memory_limit_of
from gigq.task import TaskWrapper

if TYPE_CHECKING:
    from gigq.signatures import Signature

_ALIKE = attrgetter(
    *("function", "queue", "priority", "max_attempts", "timeout", "retry_delay"),
    *("on_parent_failure", "pass_parent_results", "memory_limit", "crash_limit", "workflow"),
)
_PLAIN = frozenset({str, int, float, bool, type(None)})
_MOST_KINDS = 1000
_NOTHING = ""
_UP_TO_POINT = len("2026-11-23T19:09:12.")

Kind = tuple[Any, ...]


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


class Rows:
    """Turns jobs into rows of `submission.COLUMNS`.

    The jobs of a batch mostly differ in a few values only. What they have in common is checked
    once, and known again by its identity: equal is not enough where True equals 1.

    Args:
        most: the largest parameters of a job, in bytes of JSON.
        now: the time of the change, as stored text.
        compare: compare parameters with the function's signature.

    Attributes:
        rows: the rows, in the order of the jobs.
        waits: for those that name parents, by their place in `rows`, the ids of these.
    """

    def __init__(self, most: int, now: str, *, compare: bool = True) -> None:
        self.rows: list[tuple[Any, ...]] = []
        self.waits: dict[int, list[str]] = {}
        self._most = most
        self._compare = compare
        self._now = now
        self._second = ""
        # With the values themselves: while they are held, no others can have their identities.
        self._kinds: dict[tuple[int, ...], tuple[Kind, Kind, Signature | None]] = {}

    def add(self, jobs: Iterable[Job]) -> None:
        """Check jobs and append their rows.

        Raises:
            InvalidJob: one of them cannot be stored as it is.
            TypeError: one of them is no job.
        """
        now, append = self._now, self.rows.append
        for job in jobs:
            kind, signature = self._kind_of(job)
            made = job.created_at
            # Most were made in the same second as the one before, by the clock that stores times.
            if type(made) is not str or made[:_UP_TO_POINT] != self._second or not _ends_well(made):
                made = created_at_of(job, now)
                self._second = made[:_UP_TO_POINT]
            append(
                (
                    job.id,
                    job.name,
                    self._listed(job),
                    self._params_of(job, signature),
                    job.description,
                    made,
                    now,
                    *kind,
                )
            )

    def _kind_of(self, job: Job) -> tuple[Kind, Signature | None]:
        try:
            alike = _ALIKE(job)
        except AttributeError:
            _refuse_what_is_no_job(job)
            raise
        key = tuple(map(id, alike))
        known = self._kinds.get(key)
        if known is None:
            check(job)
            if len(self._kinds) >= _MOST_KINDS:
                self._kinds.clear()
            signature = _signature(job) if self._compare else None
            known = self._kinds[key] = alike, _kind(job), signature
        elif not is_plain_by_itself(job):
            check(job)
        return known[1], known[2]

    def _listed(self, job: Job) -> str:
        if not job.dependencies:
            return "[]"
        parents = self.waits[len(self.rows)] = list(job.dependencies)
        return json.dumps(parents)

    def _params_of(self, job: Job, signature: Signature | None) -> str:
        encoded = self._encoded(job) if job.params else "{}"
        # Most jobs of a function have parameters of the same names.
        if signature is not None and (
            job.dependencies or tuple(job.params) not in signature.known_to_fit
        ):
            _check_params(job, signature)
        return encoded

    def _encoded(self, job: Job) -> str:
        what = f"job {job.name!r}: params"
        encoded = codec.encode(job.params, what, self._most)
        if not _PLAIN.issuperset(map(type, job.params.values())):
            codec.refuse_keys_that_change(job.params, what)
        return encoded


def _ends_well(time: str) -> bool:
    return time[26:] == "+00:00" and time[20:26].isdecimal() and time.isascii()


def _kind(job: Job) -> Kind:
    """The values of `submission.ALIKE`. Nothing is bound as empty text."""
    ref = _reference(job)
    return (
        *(job.on_parent_failure, job.queue, job.priority, _NOTHING, job.max_attempts),
        *(_bound(job.timeout), job.retry_delay, _NOTHING, _bound(job.pass_parent_results)),
        *(_NOTHING, ref.module, ref.name, _bound(ref.file), _bound(memory_limit_of(job))),
        *(_bound(job.crash_limit), _bound(job.workflow), 0),
    )


def _bound(value: Any) -> Any:
    return _NOTHING if value is None else value


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


def _refuse_what_is_no_job(given: Any) -> None:
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


def _reference(job: Job) -> functions.FunctionRef:
    try:
        return functions.describe(job.function)
    except FunctionNotImportable as error:
        raise FunctionNotImportable(f"job {job.name!r}: {error}") from error
