"""Times between which a job may start: checks of the values, and their stored forms."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Any, NamedTuple

from gigq.errors import InvalidJob
from gigq.model import clock, codec
from gigq.model.delay import seconds_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from gigq.model.job import Job


class StartTimes(NamedTuple):
    """The times of a job in stored form.

    Attributes:
        retry_after: the job is not claimed before this time; None: it is due now.
        expires_at: it is not claimed at this time or later; None: it never expires.
    """

    retry_after: str | None = None
    expires_at: str | None = None


def problem(job: Any) -> str | None:
    """Return the reason why a job's times are not allowed, with the remedy; None without one."""
    if job.run_at is not None and job.delay is not None:
        return "it has both run_at and delay; give one of them"
    if job.expires_in is not None and job.expires_at is not None:
        return "it has both expires_in and expires_at; give one of them"
    try:
        if job.run_at is not None or job.delay is not None:
            not_before(job.run_at, job.delay)
        if job.expires_in is not None and not seconds_of("expires_in", job.expires_in):
            return f"expires_in is {codec.short(job.expires_in)}; give more than 0"
        if job.expires_at is not None:
            stored_time("expires_at", job.expires_at, "expires_in")
    except ValueError as error:
        return str(error)
    return None


def not_before(run_at: Any, delay: Any) -> Callable[[str], str | None]:
    """Return the function that turns a time into the one before which a job is not claimed.

    The function returns None for a past time: the job is due now.

    Raises:
        ValueError: not exactly one of the two is given, or it is not allowed.
    """
    if (run_at is None) == (delay is None):
        raise ValueError("give either run_at or delay")
    if run_at is not None:
        moment = stored_time("run_at", run_at, "delay")
        return lambda now: moment if moment > now else None
    ahead = seconds_of("delay", delay)
    return lambda now: clock.after(now, ahead) if ahead else None


def times(job: Job, now: str) -> StartTimes:
    """Return the times of a job that is submitted now.

    Raises:
        InvalidJob: the job would expire before it is due, or has expired.
    """
    is_later = job.run_at is not None or job.delay is not None
    retry_after = not_before(job.run_at, job.delay)(now) if is_later else None
    expires_at = _expiry(job, now)
    if expires_at is not None and expires_at <= (retry_after or now):
        raise InvalidJob(f"job {codec.short(job.name)}: {_too_early(job, expires_at, retry_after)}")
    return StartTimes(retry_after, expires_at)


def _expiry(job: Job, now: str) -> str | None:
    if job.expires_at is not None:
        return stored_time("expires_at", job.expires_at, "expires_in")
    if job.expires_in is not None:
        return clock.after(now, seconds_of("expires_in", job.expires_in))
    return None


def _too_early(job: Job, expires_at: str, retry_after: str | None) -> str:
    expiry = clock.to_seconds(expires_at)
    if retry_after is None:
        return f"expires_at is {expiry}, which is past, so it would never start; give a later time"
    remedy = "give a later expires_at"
    if job.expires_in is not None:
        remedy = "expires_in counts from the submit: give a longer one"
    due = clock.to_seconds(retry_after)
    return f"it would expire at {expiry}, and is due only at {due}; {remedy}"


def stored_time(what: str, moment: Any, instead: str) -> str:
    """Return a moment in stored form.

    Args:
        what: the option that has it.
        moment: a datetime with a zone.
        instead: the option for a time from now.

    Raises:
        ValueError: it is no datetime with a zone.
    """
    given = f"{what} is {codec.short(moment)}"
    if not isinstance(moment, datetime):
        raise ValueError(f"{given}; give a datetime with a zone, or use {instead}")
    if not _has_zone(given, moment):
        raise ValueError(
            f"{given}, which has no zone, so it is another moment on another host; give one with "
            f"a zone: {what}.astimezone() takes it as local time"
        )
    try:
        return clock.to_text(moment)
    except OverflowError:
        raise ValueError(f"{given}, outside the years 1 to 9999") from None
    except Exception as error:
        raise ValueError(_zone_fails(given, error)) from error


def _has_zone(given: str, moment: datetime) -> bool:
    try:
        return moment.utcoffset() is not None
    except Exception as error:
        raise ValueError(_zone_fails(given, error)) from error


def _zone_fails(given: str, error: Exception) -> str:
    said = codec.short(error)
    return f"{given}, whose zone raises {said}; use one of zoneinfo or datetime.timezone"
