"""Distinguishing a kill for want of memory from others."""

from __future__ import annotations

from pathlib import Path

from gigqd.process import cgroups, oom_kills
from gigqd.process.oom_kills import OomWatch


def count(path: Path, number: int) -> Path:
    path.write_text(f"oom 7\noom_kill {number}\noom_group_kill 0\n")
    return path


def test_a_count_that_has_risen_since_the_job_began_tells(tmp_path: Path) -> None:
    counter = count(tmp_path / "memory.events", 3)
    watch = OomWatch(counter)
    earlier = watch.count()
    assert not watch.happened_since(earlier)

    count(counter, 4)

    assert watch.happened_since(earlier)


def test_one_kill_accounts_for_one_death(tmp_path: Path) -> None:
    counter = count(tmp_path / "memory.events", 0)
    watch = OomWatch(counter)
    earlier = watch.count()

    count(counter, 2)

    assert [watch.happened_since(earlier) for _ in range(3)] == [True, True, False]


def test_a_kill_before_the_job_began_says_nothing(tmp_path: Path) -> None:
    counter = count(tmp_path / "memory.events", 0)
    watch = OomWatch(counter)
    count(counter, 5)
    earlier = watch.count()

    assert not watch.happened_since(earlier)
    count(counter, 6)
    assert watch.happened_since(earlier)


def test_a_count_that_cannot_be_read_says_nothing(tmp_path: Path) -> None:
    watch = OomWatch(tmp_path / "nothing")

    assert watch.count() == 0
    assert not watch.happened_since(watch.count())


def test_the_count_of_the_daemons_own_group_is_taken_where_there_is_one(
    tmp_path: Path, monkeypatch
) -> None:
    monkeypatch.setattr(cgroups, "own_folder", lambda: tmp_path)
    assert oom_kills._own_counter() == Path("/proc/vmstat")

    count(tmp_path / "memory.events", 0)

    assert oom_kills._own_counter() == tmp_path / "memory.events"
