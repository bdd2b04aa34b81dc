"""The retry policy of a job: what follows an attempt without success. It is stored as JSON."""

from __future__ import annotations

import json
from functools import lru_cache
from typing import TYPE_CHECKING, Any, NamedTuple

from gigq.model.cause import Cause
from gigq.model.delay import seconds_of
from gigq.model.retry import Retry

if TYPE_CHECKING:
    from collections.abc import Mapping

POLICY, NOW, NEVER = "policy", "now", "never"
"""The rules for a cause besides a delay: by the policy, at once, and no further attempt."""

RULES: Mapping[str, str] = {
    "error": POLICY,
    "timeout": POLICY,
    "memory": POLICY,
    "crash": POLICY,
    "lost": NOW,
    "stop": NOW,
}
"""The causes for which a job may have a rule, with the usual rules."""

MAX_SNOOZES = 100
"""Number of times that a job may raise `Snooze`."""

_LONGEST_PROBLEM = 200
_SHORTEST_AFTER_CRASH = 1.0
_CAUSES = {
    Cause.TIMEOUT: "timeout",
    Cause.MEMORY: "memory",
    Cause.OOM: "memory",
    Cause.CRASHED: "crash",
    Cause.LOST: "lost",
    Cause.BOOT: "lost",
    Cause.STOPPED: "stop",
}


class RetryPolicy(NamedTuple):
    """The values of a job's options about retries. All of it is data.

    Attributes:
        backoff: delays that grow; None when the job has none.
        delays: the delays after each attempt, in seconds; the last one is used again.
        function: `module:name` of a function that returns the delay; empty for none.
        retry_on: names of exception classes; with some, every other class is final.
        give_up_on: names of exception classes that are final.
        causes: rules that differ from `RULES`, by the name of the cause: "policy", "now",
            "never", or seconds.
        max_snoozes: number of times that the job may raise `Snooze`.
        of_task: True when the options are those of the function's `@task`.
    """

    backoff: Retry | None = None
    delays: tuple[float, ...] = ()
    function: str = ""
    retry_on: tuple[str, ...] = ()
    give_up_on: tuple[str, ...] = ()
    causes: Mapping[str, str | float] = {}
    max_snoozes: int = MAX_SNOOZES
    of_task: bool = False

    def delay(self, attempt: int) -> float | None:
        """Return the seconds after an attempt; None when the policy itself has no delays."""
        if self.backoff is not None:
            return self.backoff.delay(attempt)
        if self.delays:
            return self.delays[min(max(attempt, 1), len(self.delays)) - 1]
        return None

    def to_json(self) -> str:
        """Return the policy as it is stored, without values that have their defaults."""
        given = {
            name: value
            for name, value in self._asdict().items()
            if value != self._field_defaults[name]
        }
        if self.backoff is not None:
            given["backoff"] = self.backoff._values()
        return json.dumps(given, separators=(",", ":"))


NO_POLICY = RetryPolicy()


@lru_cache(maxsize=256)
def _parsed(text: str) -> tuple[RetryPolicy, str]:
    """Return a stored policy and an empty text, or one without any rule and what is wrong."""
    try:
        return _read(json.loads(text)), ""
    except (TypeError, ValueError, RecursionError, AttributeError, OverflowError) as error:
        return NO_POLICY, f"{type(error).__name__}: {error}"[:_LONGEST_PROBLEM]


def _read(values: Any) -> RetryPolicy:
    if not isinstance(values, dict):
        raise TypeError("it is no object")
    backoff = values.get("backoff")
    return RetryPolicy(
        None if backoff is None else Retry(*backoff),
        tuple(seconds_of("delay", delay) for delay in values.get("delays", ())),
        str(values.get("function", "")),
        tuple(map(str, values.get("retry_on", ()))),
        tuple(map(str, values.get("give_up_on", ()))),
        {
            name: read_rule(name, rule)
            for name, rule in values.get("causes", {}).items()
            if name in RULES
        },
        int(values.get("max_snoozes", MAX_SNOOZES)),
        bool(values.get("of_task", False)),
    )


def read_rule(cause: str, rule: Any) -> str | float:
    """Return the rule for a cause as it is stored: "policy", "now", "never" or seconds.

    Raises:
        ValueError: it is none of them, and no delay.
    """
    return str(rule) if rule in (POLICY, NOW, NEVER) else seconds_of(cause, rule)


def stored(text: object) -> RetryPolicy:
    """Return the policy in a job's column, which may hold anything."""
    return _parsed(text)[0] if isinstance(text, str) and text else NO_POLICY


def problem(text: object) -> str:
    """Return why the value of a job's column is no policy; empty for a policy and for none."""
    if isinstance(text, str):
        return _parsed(text)[1] if text else ""
    return "" if text is None else f"it is no text but {type(text).__name__}"


def cause_name(cause: Cause | None) -> str:
    """Return the name under which a cause has a rule."""
    return _CAUSES.get(cause, "error") if cause else "error"


def rule_for(policy: RetryPolicy, cause: str) -> str | float:
    """Return the rule for a cause: "policy", "now", "never" or seconds.

    Args:
        policy: the job's policy.
        cause: a name of `RULES`.
    """
    return policy.causes.get(cause, RULES[cause])


def delay_by_rule(policy: RetryPolicy, cause: str, usual: float) -> float | None:
    """Return the seconds to the next attempt by the rule for a cause; None for no attempt.

    Args:
        policy: the job's policy.
        cause: a name of `RULES`.
        usual: the seconds by the job's delays, for the rule "policy".
    """
    rule = rule_for(policy, cause)
    if rule == NEVER:
        return None
    if rule == NOW:
        return 0.0
    if isinstance(rule, int | float):
        return rule
    shortest = _SHORTEST_AFTER_CRASH if cause == "crash" else 0.0
    return max(usual, shortest)
