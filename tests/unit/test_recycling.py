"""When a worker has worked long enough."""

from __future__ import annotations

import pytest

from gigqd.config import PoolConfig
from gigqd.worker.recycling import RecyclingLimits

MANY = range(200)


def test_without_limits_it_never_ends() -> None:
    life = RecyclingLimits(PoolConfig("p"), now=0.0)
    for _ in MANY:
        life.job_began()

    assert life.reached(1e12, 2**60) == ""
    assert life.remaining(1e12) == float("inf")


def test_it_ends_after_about_so_many_jobs() -> None:
    def jobs_of(life: RecyclingLimits) -> int:
        for number in range(1, 1000):
            life.job_began()
            if life.reached(0.0, 0):
                return number
        return 0

    lives = {jobs_of(RecyclingLimits(PoolConfig("p", recycle_after_jobs=100), 0.0)) for _ in MANY}

    assert min(lives) >= 90
    assert max(lives) <= 110
    assert len(lives) > 1


def test_one_job_is_one_job() -> None:
    life = RecyclingLimits(PoolConfig("p", recycle_after_jobs=1), 0.0)
    before = life.reached(0.0, 0)
    life.job_began()

    assert (before, life.reached(0.0, 0)) == ("", "jobs")


def test_it_ends_at_about_an_age() -> None:
    lives = [RecyclingLimits(PoolConfig("p", recycle_after_age=100.0), now=1000.0) for _ in MANY]
    ends = [life.remaining(1000.0) for life in lives]

    assert min(ends) >= 90.0
    assert max(ends) <= 110.0
    assert len(set(ends)) > 1
    assert {life.reached(1089.0, 0) for life in lives} == {""}
    assert {life.reached(1111.0, 0) for life in lives} == {"age"}
    assert lives[0].remaining(2000.0) == 0.0


@pytest.mark.parametrize(("used", "why"), [(99, ""), (100, ""), (101, "memory")])
def test_it_ends_above_so_much_memory(used: int, why: str) -> None:
    life = RecyclingLimits(PoolConfig("p", recycle_above_memory=100), 0.0)

    assert life.reached(0.0, used) == why
