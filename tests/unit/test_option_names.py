"""Options by their names in other queues: the message names the option of gigq."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import pytest

from gigq import Job, JobQueue, Workflow, task
from gigq.errors import InvalidJob, WrongParameters
from gigq.model.job import JOB_OPTIONS
from gigq.model.option_names import OURS

if TYPE_CHECKING:
    from pathlib import Path


@task
def resize(file: str) -> str:
    return file


def work() -> None:
    """Do nothing."""


def test_each_option_that_is_named_exists_and_no_name_is_one_of_gigq() -> None:
    named = {name: re.split(r"\W", ours)[0] for name, ours in OURS.items()}

    assert [ours for ours in named.values() if ours not in JOB_OPTIONS] == []
    assert named.keys() & JOB_OPTIONS.keys() == set()


@pytest.mark.parametrize(
    ("name", "ours"),
    [
        ("countdown", "delay"),
        ("eta", "run_at"),
        ("max_retries", "max_attempts, which counts the first start too"),
        ("autoretry_for", "retry_on"),
        ("retry_backoff", "retry=Retry(first=..., factor=2)"),
        ("job_timeout", "timeout"),
    ],
)
def test_an_option_of_another_queue_is_refused_with_that_of_gigq(name: str, ours: str) -> None:
    given: dict[str, Any] = {name: 5}
    said = re.escape(f"got an unexpected option, {name} (use {ours}); its options are ")

    with pytest.raises(TypeError, match=f"^@task {said}"):
        task(**given)(work)
    with pytest.raises(TypeError, match=rf"^options\(\) {said}"):
        resize.options(**given)
    with pytest.raises(TypeError, match=rf"^Job\(\) {said}"):
        Job("a", work, **given)


def test_a_misspelled_option_is_refused_with_the_nearest_one() -> None:
    given: dict[str, Any] = {"timout": 5, "xyz": 1}

    with pytest.raises(TypeError, match=r"option, timout \(did you mean 'timeout'\?\), xyz; its"):
        Job("a", work, **given)


def test_an_option_given_as_a_parameter_is_refused_with_that_of_gigq(tmp_path: Path) -> None:
    queue = JobQueue(tmp_path / "jobs.db")

    with pytest.raises(WrongParameters, match="call countdown, use delay in"):
        resize.submit(queue, file="a", countdown=5)


@pytest.mark.parametrize(
    ("given", "remedy"),
    [
        ({"expires_in": "1h"}, "write add_task(resize.options(expires_in='1h'), ...)"),
        ({"countdown": 60}, "use delay, in add_task(resize.options(...))"),
        ({"file": "a"}, "write add_task(resize, params={'file': 'a'})"),
    ],
)
def test_an_option_given_to_add_task_is_refused_with_the_remedy(
    given: dict[str, Any], remedy: str
) -> None:
    said = f"add_task() has no argument {next(iter(given))}; {remedy}"

    with pytest.raises(TypeError, match=re.escape(said)):
        Workflow("pages").add_task(resize, **given)


def test_a_number_of_retries_is_refused_with_the_option_for_it() -> None:
    with pytest.raises(InvalidJob, match="the number of attempts is max_attempts"):
        Job("a", work, retry=5)  # type: ignore[arg-type]
