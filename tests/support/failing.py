"""Job functions that fail in ways that a post-mortem has to explain."""

from __future__ import annotations

import contextlib
import multiprocessing
import time

from support.jobs import noted

from gigq import errors

_AGES = 3600.0
_MB = 1000 * 1000


def hang_in_three_calls(ledger: str, job: str) -> None:
    """Print, call a function that calls a function, and sleep there, deaf to exceptions."""
    with noted(ledger, job):
        print("before the first call")  # noqa: T201 - its output is wanted
        _second_call()


def _second_call() -> None:
    _third_call()


def _third_call() -> None:
    print("before the hang")  # noqa: T201 - its output is wanted
    while True:
        try:
            time.sleep(_AGES)
        except BaseException:  # noqa: BLE001 - it hangs for every exception
            continue


def clean_up_when_interrupted(ledger: str, job: str) -> None:
    """Sleep until an exception comes, and print which."""
    with noted(ledger, job):
        try:
            time.sleep(_AGES)
        except errors.JobInterrupted as error:
            print(f"cleaned up after {type(error).__name__}")  # noqa: T201 - its output is wanted
            raise


def swallow_the_stop(ledger: str, job: str) -> str:
    """Sleep until an exception comes, and return all the same."""
    with noted(ledger, job), contextlib.suppress(errors.JobStopped):
        time.sleep(_AGES)
    return "done"


def eat_memory(ledger: str, job: str, rate: int) -> None:
    """Use so many bytes more each second."""
    with noted(ledger, job):
        _eat(rate)


def eat_memory_in_a_child(ledger: str, job: str, rate: int) -> None:
    """Have a child use so many bytes more each second."""
    with noted(ledger, job):
        child = multiprocessing.get_context("fork").Process(target=_eat, args=(rate,))
        child.start()
        child.join()


def _eat(rate: int) -> None:
    eaten = []
    began = time.monotonic()
    while True:
        while len(eaten) * _MB < (time.monotonic() - began) * rate:
            eaten.append(b"\1" * _MB)
        time.sleep(0.01)
