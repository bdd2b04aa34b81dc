"""The order of the tests of a run in several processes."""

from __future__ import annotations

import os
from itertools import islice
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

T = TypeVar("T")


def own_order(folders: Sequence[str]) -> list[str]:
    """The folders in the order in which this process of the run reads them.

    pytest compiles a file in each process that reads it before another one has done so.
    """
    number = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))
    processes = int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1"))
    first = len(folders) * number // processes
    return [*folders[first:], *folders[:first]]


def long_first(items: Sequence[T], is_long: Callable[[T], bool], processes: int) -> list[T]:
    """The items with the long ones spread over the beginnings of the pieces of the processes.

    pytest-xdist (`worksteal`) cuts the list into a piece for each process, of equal lengths.

    Args:
        items: what to order; the others keep their order.
        is_long: returns True for a long one.
        processes: how many there are.
    """
    long = [item for item in items if is_long(item)]
    others = iter([item for item in items if not is_long(item)])
    found: list[T] = []
    for number in range(processes):
        end = len(items) * (number + 1) // processes
        found += long[number::processes]
        found += islice(others, max(0, end - len(found)))
    return found
