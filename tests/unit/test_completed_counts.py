"""Sums of the jobs without a line of their own, counted by a worker and written for it."""

from __future__ import annotations

import os

import pytest

from gigqd.logs import completed_counts
from gigqd.logs.completed_counts import CompletedCounts, SharedCounts


@pytest.fixture
def written(monkeypatch):
    """The counts of the lines that are written."""
    counts = []
    monkeypatch.setattr(
        completed_counts.log, "info", lambda _event, count, **worker: counts.append((count, worker))
    )
    return counts


def in_a_child(call):
    child = os.fork()
    if child == 0:
        call()
        os._exit(0)
    os.waitpid(child, 0)


def test_a_sum_is_written_once_its_second_is_over(written):
    counts = SharedCounts()
    sums = CompletedCounts(counts, worker="w")
    for count, now in ((0, 10.0), (3, 10.5), (5, 11.4), (7, 11.5), (7, 20.0), (8, 20.1), (9, 21.1)):
        counts.summed = count
        sums.step(now)

    assert written == [(7, {"worker": "w"}), (2, {"worker": "w"})]
    assert not sums.is_open


def test_what_a_worker_counted_is_written_after_its_death(written):
    counts = SharedCounts()
    sums = CompletedCounts(counts)

    def count():
        counts.summed += 4
        counts.unreported += 2

    in_a_child(count)
    is_open = sums.is_open
    sums.end()

    assert is_open
    assert written == [(6, {})]
