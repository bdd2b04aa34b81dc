"""Checks of the values of a job, and their stored forms."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from gigq.errors import InvalidJob
from gigq.model import clock, codec, retry_options, served_queues, start_times, units
from gigq.model.codec import short
from gigq.model.delay import LONGEST_DELAY
from gigq.model.retry_options import NO_OPTIONS, UnsetDelay

if TYPE_CHECKING:
    from gigq.model.job import Job

FAILURE_POLICIES = ("fail", "run", "wait")
"""The policies of a job for a parent that fails for good."""

LONGEST_NAME = 1_000
LONGEST_ID = 255
LONGEST_DESCRIPTION = 10_000
"""Maximum characters of a name, of an id or queue, and of a description."""

_LONGEST = {
    "id": LONGEST_ID,
    "name": LONGEST_NAME,
    "workflow": LONGEST_NAME,
    "queue": LONGEST_ID,
    "description": LONGEST_DESCRIPTION,
}
_LARGEST_INTEGER = 2**63 - 1
_PLAINLY_RIGHT = 2**31
_NUL = "\0"
_TEXT = frozenset({str})
_SMALLEST_MEMORY_LIMIT = 2**20


def check(job: Job) -> None:
    """Check the values of a job, which may have been changed since it was made.

    Raises:
        InvalidJob: with the job's name, the value, the allowed values and the remedy.
    """
    if not _is_plain(job) and (problem := _problem(job)):
        raise InvalidJob(f"job {short(job.name)}: {problem}")


def created_at_of(job: Job, now: str) -> str:
    """Return a job's creation time in stored form; `now` if it has none.

    Raises:
        InvalidJob: it is not an ISO 8601 time.
    """
    made = job.created_at
    if made is None or made == "":
        return now
    try:
        return made if clock.is_stored_form(made) else clock.normalise(made)
    except (TypeError, ValueError, OverflowError):
        problem = (
            f"created_at is {short(made)}; give an ISO 8601 time as text, such as '{now}' "
            "(without a zone it is local time)"
        )
        raise InvalidJob(f"job {short(job.name)}: {problem}") from None


def memory_limit_of(job: Job) -> int | None:
    """Return a job's memory limit in bytes, or None.

    Raises:
        ValueError: it is a text that is not a size.
    """
    limit = job.memory_limit
    return units.parse_size(limit) if isinstance(limit, str) else limit


def is_plain_by_itself(job: Any) -> bool:
    """Return True when the values that differ from job to job are clearly valid, as usual."""
    id_, name, text = job.id, job.name, job.description
    params, parents = job.params, job.dependencies
    return (
        type(id_) is type(name) is type(text) is str
        and id_ != ""
        and id_.isascii()
        and name.isascii()
        and text.isascii()
        and _NUL not in id_
        and _NUL not in name
        and _NUL not in text
        and len(id_) <= LONGEST_ID
        and len(name) + len(text) <= LONGEST_NAME
        and type(params) is dict
        and (not params or _are_texts(params))
        and type(parents) is list
        and (not parents or (_are_texts(parents) and id_ not in parents))
    )


def _is_plain(job: Any) -> bool:
    """Return True when all values are clearly valid; others may be valid after more checks."""
    return (
        is_plain_by_itself(job)
        and type(job.queue) is str
        and bool(job.queue)
        and job.queue.isascii()
        and _NUL not in job.queue
        and len(job.queue) <= LONGEST_ID
        and job.queue[0] not in served_queues.MARKS
        and type(job.priority) is type(job.max_attempts) is int
        and -_PLAINLY_RIGHT < job.priority < _PLAINLY_RIGHT
        and 0 < job.max_attempts < _PLAINLY_RIGHT
        and (type(job.timeout) is int and 0 < job.timeout < _PLAINLY_RIGHT)
        and type(job.retry_delay) is UnsetDelay
        and job.retry_options is NO_OPTIONS
        and job.memory_limit is None
        and (job.workflow is None or _is_plain_text(job.workflow))
        and (type(job.crash_limit) is int and 0 < job.crash_limit < _PLAINLY_RIGHT)
        and job.pass_parent_results in (None, True, False)
        and job.on_parent_failure in FAILURE_POLICIES
        and job.run_at is job.delay is job.expires_in is job.expires_at is None
    )


def _is_plain_text(value: Any) -> bool:
    return type(value) is str and value.isascii() and _NUL not in value and len(value) <= LONGEST_ID


def _are_texts(values: Iterable[Any]) -> bool:
    return _TEXT.issuperset(map(type, values))


def _problem(job: Job) -> str | None:
    return (
        _problem_of_texts(job)
        or _problem_of_params(job.params)
        or _problem_of_dependencies(job.dependencies, job.id)
        or _problem_of_numbers(job)
        or _problem_of_limits(job)
        or _problem_of_retries(job)
        or _problem_of_choices(job)
        or start_times.problem(job)
    )


def _problem_of_texts(job: Job) -> str | None:
    for what in ("id", "name", "queue", "description", "workflow"):
        value = getattr(job, what)
        if value is None and what == "workflow":
            continue
        if not isinstance(value, str):
            return f"{what} is {short(value)}; give a text"
        if not value and what in {"id", "queue"}:
            return f"{what} is empty; give a text"
        if len(value) > _LONGEST[what]:
            most = f"{_LONGEST[what]:,} characters"
            return f"{what} has {len(value):,} characters; give at most {most}"
        if not codec.is_unicode(value):
            return f"{what} is {short(value)}, which holds half a character; decode it with a codec"
        if _NUL in value:
            place = value.index(_NUL)
            return f"{what} is {short(value)} with NUL at index {place}; leave NUL out"
    return served_queues.problem_of_name(job.queue)


def _problem_of_params(params: Any) -> str | None:
    if not isinstance(params, dict):
        return f"params is a {type(params).__name__}; give a dict of keyword arguments"
    for key in params:
        if not isinstance(key, str):
            return f"params has the key {short(key)}; keyword arguments have text as names"
    return None


def _problem_of_dependencies(dependencies: Any, own_id: str) -> str | None:
    if isinstance(dependencies, str):
        return f"dependencies is the text {short(dependencies)}; give a list of job ids"
    if not isinstance(dependencies, Iterable):
        return f"dependencies is {short(dependencies)}; give a list of job ids"
    for parent in dependencies:
        if not isinstance(parent, str):
            return f"dependencies holds {short(parent)}; give the ids of jobs (job.id)"
        if parent == own_id:
            return "depends on itself; take its own id out of dependencies"
    return None


def _problem_of_numbers(job: Job) -> str | None:
    if not _is_integer(job.priority) or abs(job.priority) > _LARGEST_INTEGER:
        return f"priority is {short(job.priority)}; give an integer of at most 63 bits"
    if not _is_integer(job.max_attempts) or not 1 <= job.max_attempts <= _LARGEST_INTEGER:
        return f"max_attempts is {short(job.max_attempts)}; give an integer of at least 1"
    if job.timeout is not None and not _is_seconds(job.timeout, above=0):
        return f"timeout is {short(job.timeout)}; give seconds above 0, or None for no limit"
    if not (_is_seconds(job.retry_delay, above=0) or job.retry_delay == 0):
        remedy = "give seconds, 0 or more; retry takes delays such as ['10m']"
        return f"retry_delay is {short(job.retry_delay)}; {remedy}"
    if job.retry_delay > LONGEST_DELAY:
        return f"retry_delay is {short(job.retry_delay)}; give at most {LONGEST_DELAY:,.0f}"
    return None


def _problem_of_retries(job: Job) -> str | None:
    try:
        retry_options.policy_of(job.retry_options, job.retry_delay)
    except ValueError as error:
        return str(error)
    return None


def _problem_of_limits(job: Job) -> str | None:
    try:
        memory = memory_limit_of(job)
    except ValueError as error:
        return f"memory_limit: {error}"
    if memory is not None and (
        not _is_integer(memory) or not _SMALLEST_MEMORY_LIMIT <= memory <= _LARGEST_INTEGER
    ):
        return (
            f"memory_limit is {short(job.memory_limit)}; give bytes, at least 1 MiB, or a text "
            "such as '300 MB', or None for the limit of the pool"
        )
    crashes = job.crash_limit
    if crashes is not None and not (_is_integer(crashes) and 1 <= crashes <= _LARGEST_INTEGER):
        return (
            f"crash_limit is {short(crashes)}; give an integer of at least 1, or None for no limit"
        )
    return None


def _problem_of_choices(job: Job) -> str | None:
    if job.pass_parent_results not in (None, True, False):
        return f"pass_parent_results is {short(job.pass_parent_results)}; give True, False or None"
    if job.on_parent_failure not in FAILURE_POLICIES:
        choices = ", ".join(FAILURE_POLICIES)
        return f"on_parent_failure is {short(job.on_parent_failure)}; give one of {choices}"
    return None


def _is_integer(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _is_seconds(value: Any, *, above: float) -> bool:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return False
    return above < value <= sys.float_info.max
