"""Decisions that are raised in a group of exceptions, a thread or a child process."""

from __future__ import annotations

import asyncio
import multiprocessing
import os
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import pytest

from gigq import CancelJob, GiveUp, Job, RetryLater, Snooze

if TYPE_CHECKING:
    from collections.abc import Callable

DECISIONS = {
    "snooze": lambda: Snooze(60, "not yet"),
    "later": lambda: RetryLater(60, "not yet"),
    "give up": lambda: GiveUp("not yet"),
    "cancel": lambda: CancelJob("not yet"),
}


def decide(how: str = "snooze") -> None:
    decision = DECISIONS[how]()
    raise decision


async def decide_in_a_task(how: str) -> None:
    decide(how)


async def wait() -> None:
    await asyncio.Event().wait()


async def all_tasks(*hows: str) -> None:
    async with asyncio.TaskGroup() as group:
        group.create_task(wait())
        for how in hows:
            group.create_task(decide_in_a_task(how))


def in_a_task_group(how: str) -> None:
    asyncio.run(all_tasks(how))


def in_nested_groups() -> None:
    raise ExceptionGroup("outer", [ExceptionGroup("inner", [Snooze(60, "not yet")])])


def two_of_a_task_group() -> None:
    asyncio.run(all_tasks("snooze", "give up"))


def beside_an_error() -> None:
    raise ExceptionGroup("both", [Snooze(60, "not yet"), ValueError("x")])


def in_a_future() -> None:
    with ThreadPoolExecutor(1) as pool:
        pool.submit(decide).result()


def in_a_pool_of_processes() -> None:
    with multiprocessing.get_context("fork").Pool(1) as pool:
        pool.apply(decide)


def in_a_thread() -> None:
    thread = threading.Thread(target=decide)
    thread.start()
    thread.join()


def in_a_forked_child() -> None:
    child = os.fork()
    if not child:
        decide()
    os.waitpid(child, 0)


def run(queue: Any, worker: Any, function: Callable[..., None], **params: str) -> dict[str, Any]:
    job_id = queue.submit(Job("a", function, params))
    worker.process_one()
    found: dict[str, Any] = queue.get_status(job_id)
    return found


@pytest.mark.parametrize(
    ("how", "outcome"),
    [
        ("snooze", ("pending", "snoozed", 0)),
        ("later", ("pending", "error", 1)),
        ("give up", ("failed", "error", 1)),
        ("cancel", ("cancelled", "cancelled", 1)),
    ],
)
def test_the_decision_of_one_task_of_a_group_counts(
    queue: Any, worker: Any, how: str, outcome: tuple[str, str, int]
) -> None:
    found = run(queue, worker, in_a_task_group, how=how)

    assert (found["status"], found["cause"], found["attempts"]) == outcome
    assert (found["retry_after"] is not None) == (found["status"] == "pending")
    assert "not yet" in found["error"]


@pytest.mark.parametrize("function", [in_nested_groups, in_a_future, in_a_pool_of_processes])
def test_a_decision_that_leaves_the_function_counts(
    queue: Any, worker: Any, function: Callable[..., None]
) -> None:
    assert run(queue, worker, function)["cause"] == "snoozed"


@pytest.mark.parametrize("function", [two_of_a_task_group, beside_an_error])
def test_a_group_of_several_exceptions_is_an_error_like_any_other(
    queue: Any, worker: Any, function: Callable[..., None]
) -> None:
    found = run(queue, worker, function)

    assert (found["cause"], found["attempts"], found["retry_after"]) == ("error", 1, None)


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
@pytest.mark.parametrize("function", [in_a_thread, in_a_forked_child])
def test_a_decision_that_does_not_reach_the_function_has_no_effect(
    queue: Any, worker: Any, function: Callable[..., None]
) -> None:
    assert run(queue, worker, function)["status"] == "completed"
