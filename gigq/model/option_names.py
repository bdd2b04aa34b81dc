"""Options of jobs in other queues, by their names, and the options of gigq that do the same."""

from __future__ import annotations

from typing import TYPE_CHECKING, NoReturn

from gigq.nearest import nearest

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable

_ATTEMPTS = "max_attempts, which counts the first start too"

OURS = {
    "at_front": "priority",
    "attempts": "max_attempts",
    "autoretry_for": "retry_on",
    "countdown": "delay",
    "default_retry_delay": "retry_delay",
    "depends_on": "dependencies",
    "dont_autoretry_for": "give_up_on",
    "eta": "run_at",
    "expires": "expires_in, or expires_at for a time",
    "job_timeout": "timeout",
    "max_age": "expires_in",
    "max_backoff": "retry=Retry(longest=...)",
    "max_retries": _ATTEMPTS,
    "min_backoff": "retry=Retry(first=...)",
    "next_run": "run_at",
    "perform_at": "run_at",
    "perform_in": "delay",
    "retries": _ATTEMPTS,
    "retry_backoff": "retry=Retry(first=..., factor=2)",
    "retry_backoff_max": "retry=Retry(longest=...)",
    "retry_jitter": "retry=Retry(jitter=...)",
    "retry_when": "retry, with a function of the attempt and the exception",
    "schedule_in": "delay",
    "scheduled_at": "run_at",
    "soft_time_limit": "timeout",
    "throws": "give_up_on",
    "time_limit": "timeout",
    "ttl": "expires_in",
}
"""The option of gigq for each name from Celery, RQ, huey, dramatiq, Oban, Sidekiq or Django Q2."""

_LONGEST = 100


def refuse(what: str, unknown: Iterable[str], known: Collection[str]) -> NoReturn:
    """Refuse options that do not exist, with the options that were probably meant.

    Args:
        what: the function that got them.
        unknown: their names.
        known: the names of all its options.

    Raises:
        TypeError: always.
    """
    names = ", ".join(f"{name}{_hint(name, known)}" for name in sorted(unknown))
    raise TypeError(
        f"{what} got an unexpected option, {names}; its options are {', '.join(sorted(known))}"
    )


def _hint(name: str, known: Collection[str]) -> str:
    if name in OURS:
        return f" (use {OURS[name]})"
    near = nearest(name[:_LONGEST], known)
    return f" (did you mean {near!r}?)" if near else ""
