"""A turn of the loop serves as many as it has time for, and the next one the others."""

from __future__ import annotations

from gigqd.time_slice import TimeSlice, advance


def served(share: TimeSlice, names: list[str]) -> list[str]:
    found: list[str] = []
    share.serve(names, found.append)
    return found


def test_all_are_served_where_there_is_time() -> None:
    share = TimeSlice(3600.0)

    assert served(share, ["a", "b", "c"]) == ["a", "b", "c"]
    assert not share.behind


def test_who_had_to_wait_is_served_first_and_nothing_is_served_twice_before() -> None:
    share = TimeSlice(0.0)

    turns = [served(share, ["a", "b", "c"]) for _ in range(4)]

    assert turns == [["a"], ["b"], ["c"], ["a"]]


def test_what_is_gone_when_its_time_comes_is_left_out() -> None:
    share = TimeSlice(0.0)
    served(share, ["a", "b", "c"])

    assert served(share, ["a", "c"]) == ["c"]
    assert not share.behind
    assert served(share, []) == []


def test_work_is_done_at_once_where_there_is_time() -> None:
    steps = iter([None, None])

    assert advance(steps, 3600.0)
    assert list(steps) == []


def test_each_slice_makes_one_step_where_there_is_no_time() -> None:
    steps = iter([None, None])

    assert [advance(steps, 0.0) for _ in range(3)] == [False, False, True]


def test_a_step_may_end_the_slice() -> None:
    steps = iter([False, True, False])

    assert not advance(steps, 3600.0)
    assert advance(steps, 3600.0)
