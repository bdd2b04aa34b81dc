"""What a worker adds to the result of a failed attempt, for exceptions that misbehave."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

import pytest

from gigq import GiveUp, Retry, Snooze
from gigq.execution.retry_advice import Advisor, advised
from gigq.execution.timer_interrupt import NoInterrupter
from gigq.model import function_import
from gigq.model.cause import Cause
from gigq.model.claim import Claim
from gigq.model.execution_result import ExecutionResult
from gigq.model.function_import import FunctionRef
from gigq.model.job_status import JobStatus
from gigq.model.retry_policy import RetryPolicy

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

FAILED = ExecutionResult(JobStatus.FAILED, error="boom", cause=Cause.ERROR)


class EvilMeta(type):
    @property
    def __mro__(cls) -> Any:
        raise RuntimeError


class EvilError(ValueError, metaclass=EvilMeta):
    """An exception whose class cannot be read."""


class EvilSnooze(Snooze):
    @property
    def delay(self) -> Any:
        raise RuntimeError

    @delay.setter
    def delay(self, value: object) -> None:
        """Take it as `Snooze` sets it."""


class PosingError(Exception):
    """An exception that poses as a decision."""

    __class__ = property(lambda _self: GiveUp)  # type: ignore[assignment]


class OddTask:
    """A callable with a method of the name that a task has."""

    def __call__(self) -> None:
        """Do nothing."""

    def retry_policy(self) -> int:
        return 5


odd_task = OddTask()
OF_TASK = RetryPolicy(give_up_on=("ValueError",), of_task=True)


def claim(policy: RetryPolicy, ref: FunctionRef = FunctionRef("app", "work")) -> Claim:  # noqa: B008
    return Claim(
        "j", "e", "a", ref, {}, 1, 3, None, (), None, "default", "w", None, policy.to_json()
    )


def no_function(_ref: FunctionRef) -> Any:
    raise AssertionError("no function is to be loaded")


ADVISOR = Advisor(no_function, NoInterrupter())


@pytest.mark.parametrize("make", [lambda: EvilError("x"), lambda: EvilSnooze(5)])
def test_an_exception_whose_attributes_raise_is_a_failure_like_any_other(
    make: Callable[[], BaseException],
) -> None:
    default = Retry(first=7)
    policy = RetryPolicy(retry_on=("KeyError",))
    result = advised(ADVISOR._replace(default=default), claim(policy), FAILED, make())

    assert (result.status, result.cause, result.final) == (JobStatus.FAILED, Cause.ERROR, False)
    assert result.error is not None
    assert result.error.startswith("boom\n\nThe rules for retries cannot be applied")
    assert result.retry.default is default


@pytest.mark.parametrize("cause", [Cause.STOPPED, Cause.CANCELLED])
def test_a_job_that_was_ended_from_outside_is_not_judged_by_its_exception(cause: Cause) -> None:
    policy = RetryPolicy(give_up_on=("Exception",))
    ended = FAILED._replace(cause=cause)

    assert advised(ADVISOR, claim(policy), ended, ValueError()) == ended


def test_a_timeout_is_not_judged_by_its_class() -> None:
    policy = RetryPolicy(retry_on=("KeyError",))
    timeout = FAILED._replace(cause=Cause.TIMEOUT, status=JobStatus.TIMEOUT)

    assert not advised(ADVISOR, claim(policy), timeout, ValueError()).final


@pytest.mark.parametrize("cause", [Cause.STOPPED, Cause.CANCELLED])
def test_a_decision_does_not_count_in_a_job_that_was_ended_from_outside(cause: Cause) -> None:
    ended = FAILED._replace(cause=cause)

    assert advised(ADVISOR, claim(RetryPolicy()), ended, Snooze(60)) == ended


def test_an_exception_that_only_poses_as_a_decision_is_an_error() -> None:
    assert advised(ADVISOR, claim(RetryPolicy()), FAILED, PosingError()).final is False


def test_a_callable_with_another_kind_of_policy_keeps_that_of_the_submit() -> None:
    ref = FunctionRef(__name__, "odd_task")
    assert function_import.find(ref.module, ref.name) is odd_task

    assert advised(ADVISOR, claim(OF_TASK, ref), FAILED, ValueError()).final is True


def test_a_module_whose_import_has_failed_is_not_imported_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "imported_once.py").write_text("def work(): pass\n")
    monkeypatch.syspath_prepend(tmp_path)
    ref = FunctionRef("imported_once", "work")

    assert advised(ADVISOR, claim(OF_TASK, ref), FAILED, ValueError()).final is True
    assert "imported_once" not in sys.modules
