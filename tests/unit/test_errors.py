from __future__ import annotations

from datetime import timedelta

import pytest

from gigq import errors


def test_job_not_found_reads_as_a_sentence() -> None:
    assert str(errors.JobNotFound("job 'x' is not stored")) == "job 'x' is not stored"
    assert str(errors.JobNotFound()) == "no such job"


@pytest.mark.parametrize(
    ("delay", "reason", "text"),
    [
        (1, "", "in 1 s"),
        (0.5, "", "in 0.5 s"),
        ("10m", "", "in 10m"),
        (timedelta(minutes=2), "", "in 0:02:00"),
        (1, "the bank is closed", "the bank is closed"),
    ],
)
def test_a_decision_without_a_reason_shows_its_delay_with_the_unit(
    delay: float | str | timedelta, reason: str, text: str
) -> None:
    assert str(errors.RetryLater(delay, reason)) == text
    assert str(errors.Snooze(delay, reason)) == text


@pytest.mark.parametrize(
    ("error", "base"),
    [
        (errors.InvalidJob, ValueError),
        (errors.FunctionNotImportable, TypeError),
        (errors.NotJson, TypeError),
        (errors.JobNotFound, KeyError),
        (errors.StoreLocked, errors.StoreUnavailable),
        (errors.SchemaTooNew, errors.StoreError),
    ],
)
def test_an_error_is_caught_as_its_older_relative(
    error: type[Exception], base: type[Exception]
) -> None:
    assert issubclass(error, base)
    assert issubclass(error, errors.GigqError)


def test_a_job_that_catches_exception_does_not_swallow_its_timeout() -> None:
    assert not issubclass(errors.JobTimeout, Exception)
