"""Which slots a configuration wants, and which it gives up first."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from gigqd.config import PoolConfig
from gigqd.supervisor.pools import new_names, slots_to_close
from gigqd.supervisor.slots import Limits, Slot

LIMITS = Limits(30.0, 2.0, 120.0)


def config(**sizes: int) -> Any:
    return SimpleNamespace(pools=[PoolConfig(name, size=size) for name, size in sizes.items()])


def slots(*names: str) -> list[Slot]:
    return [Slot(name, name.partition("/")[0], LIMITS) for name in names]


def names(given_up: list[Slot]) -> list[str]:
    return sorted(slot.name for slot in given_up)


def all_idle(_slot: Slot) -> float:
    return 0.0


def test_new_slots_get_the_lowest_free_numbers() -> None:
    assert new_names("a", 3, taken={"a/0", "a/2", "b/1"}) == ["a/1", "a/3", "a/4"]


def test_a_pool_that_has_enough_gets_no_new_slots() -> None:
    assert new_names("a", 0, taken={"a/0"}) == []
    assert new_names("a", -2, taken={"a/0"}) == []


def test_idle_slots_are_given_up_before_busy_ones_and_young_jobs_before_old_ones() -> None:
    began = {"a/0": 50.0, "a/1": 90.0, "a/2": 0.0, "a/3": 70.0}
    members = slots(*began)

    def busy_since(slot: Slot) -> float:
        return began[slot.name]

    assert names(slots_to_close(members, config(a=3), busy_since)) == ["a/2"]
    assert names(slots_to_close(members, config(a=2), busy_since)) == ["a/1", "a/2"]
    assert names(slots_to_close(members, config(a=1), busy_since)) == ["a/1", "a/2", "a/3"]


def test_a_pool_that_is_gone_gives_up_all_its_slots_and_others_keep_theirs() -> None:
    members = slots("a/0", "b/0", "b/1")

    assert names(slots_to_close(members, config(a=1), all_idle)) == ["b/0", "b/1"]


def test_a_pool_that_is_to_grow_gives_up_nothing() -> None:
    assert slots_to_close(slots("a/0"), config(a=5), all_idle) == []
