"""What a worker knows about the next attempt: the job's own decision, and rules by exception."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any, NamedTuple, cast

from gigq.errors import CancelJob, GiveUp, JobDecision, RetryLater, Snooze
from gigq.execution.error_text import exceptions_in, headline, shortened
from gigq.execution.timer_interrupt import limited
from gigq.model import function_import, retry_policy
from gigq.model.cause import Cause
from gigq.model.delay import seconds_of
from gigq.model.execution_result import ExecutionResult, RetryAdvice
from gigq.model.job_status import JobStatus
from gigq.model.retry_decision import NOT_AGAIN
from gigq.model.retry_options import name_of_class
from gigq.model.retry_policy import RetryPolicy
from gigq.model.storable_text import storable

if TYPE_CHECKING:
    from collections.abc import Callable

    from gigq.execution.timer_interrupt import Interrupter
    from gigq.model.claim import Claim
    from gigq.model.function_import import FunctionRef
    from gigq.model.retry import Retry

_RULED = frozenset({Cause.ERROR, Cause.TIMEOUT})
_LONGEST_REASON = 4096
_BAD_DELAY = "the delay of {} is not valid, so the usual one is used: {}"
_NO_ADVICE = "\n\nThe rules for retries cannot be applied to the exception: {}."
_BROKEN = "the retry function {} failed, so the usual delay is used: {}"


class Advisor(NamedTuple):
    """The means of a worker to decide about the next attempt.

    Attributes:
        load: returns a function by its reference.
        interrupter: may interrupt a retry function.
        starts: called with the job's error and the name of a retry function, before that runs.
        default: the delays of jobs without delays of their own; None for none.
    """

    load: Callable[[FunctionRef], Callable[..., Any]]
    interrupter: Interrupter
    starts: Callable[[Claim, str, str], None] = lambda _claim, _error, _name: None
    default: Retry | None = None


def advised(
    advisor: Advisor, claim: Claim, result: ExecutionResult, error: BaseException
) -> ExecutionResult:
    """Return the result of a failed attempt with what decides about the next one.

    Args:
        advisor: the worker's means.
        claim: the job and its attempt.
        result: the result.
        error: the exception that ended the attempt.
    """
    try:
        result = _advised(advisor, claim, result, error)
    except BaseException as broken:  # noqa: BLE001 - an exception's own attributes may raise anything
        result = _with_text(result, _NO_ADVICE.format(type(broken).__name__))
    return result._replace(retry=result.retry._replace(default=advisor.default))


def _advised(
    advisor: Advisor, claim: Claim, result: ExecutionResult, error: BaseException
) -> ExecutionResult:
    if result.cause not in _RULED:
        return result
    current = _current(claim)
    if current is not retry_policy.NO_POLICY or claim.retry_policy:
        result = result._replace(retry=RetryAdvice(policy=current))
    if (decision := _decision(error)) is not None:
        return _decided(result, decision)
    if result.cause is Cause.ERROR and (reason := _final_reason(current, error)):
        return _final(result, reason)
    rule = retry_policy.rule_for(current, retry_policy.cause_name(result.cause))
    if not current.function or rule != retry_policy.POLICY:
        return result
    return _by_function(advisor, current, claim, result, error)


def _decision(error: BaseException) -> JobDecision | None:
    """Return the exception if it is a decision, or if it is a group of nothing but one.

    A task group raises such a group for the decision of one of its tasks.
    """
    while len(inside := exceptions_in(error)) == 1:
        error = inside[0]
    # `isinstance` would read `__class__`, which the exception may override.
    return cast("JobDecision", error) if issubclass(type(error), JobDecision) else None


def _decided(result: ExecutionResult, error: JobDecision) -> ExecutionResult:
    if isinstance(error, GiveUp):
        return result._replace(final=True)
    if isinstance(error, CancelJob):
        return result._replace(status=JobStatus.CANCELLED, cause=Cause.CANCELLED)
    return _put_off(result, error) if isinstance(error, RetryLater) else result


def _put_off(result: ExecutionResult, error: RetryLater) -> ExecutionResult:
    snooze = isinstance(error, Snooze)
    try:
        delay = seconds_of("delay", error.delay)
    except ValueError as wrong:
        return _with_problem(result, _BAD_DELAY.format(type(error).__name__, wrong))
    if not snooze:
        return result._replace(retry=result.retry._replace(delay=delay))
    if error.__cause__ is None and error.__context__ is None:
        # The traceback only repeats the reason.
        result = result._replace(error=headline(error), failure=None)
    advice = result.retry._replace(delay=delay, snooze=True, reason=_reason(error))
    return result._replace(cause=Cause.SNOOZED, retry=advice)


def _reason(error: RetryLater) -> str:
    return storable(shortened(error.reason, _LONGEST_REASON))


def _current(claim: Claim) -> RetryPolicy:
    """Return the job's policy: that of its task now, unless the submit gave it one of its own."""
    stored = retry_policy.stored(claim.retry_policy)
    if stored is not retry_policy.NO_POLICY and not stored.of_task:
        return stored
    return _policy_of_task(claim.function, stored)


def _policy_of_task(ref: FunctionRef, otherwise: RetryPolicy) -> RetryPolicy:
    """Return the policy that the options of a task make now, also when it has none any more."""
    if not function_import.is_loaded(ref):
        return otherwise  # its import has failed, and must not be tried a second time
    try:
        # A task is recognized by the method: its class is above this package.
        function: Any = function_import.find(ref.file or ref.module, ref.name)
        policy = function.retry_policy()
    except Exception:  # noqa: BLE001 - a plain function has no such method
        return otherwise
    if policy is None:
        return retry_policy.NO_POLICY
    return policy if isinstance(policy, RetryPolicy) else otherwise


def _final_reason(policy: RetryPolicy, error: BaseException) -> str:
    """Return why an exception is final, or an empty text. The most specific class counts."""
    for kind in type(error).__mro__:
        if _is_named(kind, policy.give_up_on):
            return f"give_up_on has {name_of_class(kind)}"
        if _is_named(kind, policy.retry_on):
            return ""
    return f"retry_on does not have {name_of_class(type(error))}" if policy.retry_on else ""


def _is_named(kind: type, names: tuple[str, ...]) -> bool:
    return bool(names) and (
        name_of_class(kind) in names or any(_found(name) is kind for name in names)
    )


def _found(name: str) -> object:
    """Return the class that a dotted name means in the modules that are loaded; None for none.

    Nothing is imported: a class whose module is not loaded has not been raised.
    """
    before, _, attribute = name.rpartition(".")
    module = sys.modules.get(before)
    if module is not None:
        return vars(module).get(attribute)
    return getattr(_found(before), attribute, None) if before else None  # a class inside another


def _by_function(
    advisor: Advisor,
    policy: RetryPolicy,
    claim: Claim,
    result: ExecutionResult,
    error: BaseException,
) -> ExecutionResult:
    advisor.starts(claim, result.error or "", policy.function)
    interrupter = advisor.interrupter
    seconds = interrupter.time_left()
    try:
        with limited(seconds, f"it ran longer than {seconds:.3g} s"), interrupter.armed_again():
            function = advisor.load(function_import.parse(policy.function))
            delay = function(claim.attempt, error)
        if delay is None:
            return _final(result, f"{policy.function} returned None")
        delay = seconds_of(f"the delay from {policy.function}", delay)
    except BaseException as broken:  # noqa: BLE001 - user code; the attempt's own error must be recorded
        return _with_problem(result, _BROKEN.format(policy.function, headline(broken)))
    return result._replace(retry=RetryAdvice(delay=delay, policy=policy))


def _final(result: ExecutionResult, reason: str) -> ExecutionResult:
    advice = result.retry._replace(reason=reason)
    return _with_text(result, NOT_AGAIN.format(reason))._replace(final=True, retry=advice)


def _with_problem(result: ExecutionResult, problem: str) -> ExecutionResult:
    advice = result.retry._replace(problem=storable(problem))
    return _with_text(result, f"\n\n{problem[:1].upper()}{problem[1:]}.")._replace(retry=advice)


def _with_text(result: ExecutionResult, text: str) -> ExecutionResult:
    return result._replace(error=storable(f"{(result.error or '').rstrip()}{text}"))
