"""Batches of jobs: many jobs are changed in several transactions, so that other writers go on."""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

MOST_AT_ONCE = 500
"""Jobs changed in one transaction, for whose end other writers wait."""


def batches(job_ids: Iterable[str]) -> Iterator[list[str]]:
    """Yield ids in their order, each once, in lists for one transaction."""
    left = iter(dict.fromkeys(job_ids))
    while some := list(islice(left, MOST_AT_ONCE)):
        yield some
