from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gigq.model import clock

WIDTH = len("2026-11-23T19:09:12.123456+00:00")


def test_now_is_utc_of_a_fixed_width() -> None:
    text = clock.utc_now()

    assert len(text) == WIDTH
    assert text.endswith("+00:00")


def test_a_whole_second_is_as_wide_as_any_other() -> None:
    assert clock.to_text(datetime(2026, 1, 1, tzinfo=UTC)) == "2026-01-01T00:00:00.000000+00:00"


def test_a_time_of_another_zone_is_brought_to_utc() -> None:
    assert clock.normalise("2026-01-01T02:00:00+02:00") == "2026-01-01T00:00:00.000000+00:00"


@pytest.mark.parametrize(
    ("zone", "text", "meant"),
    [
        ("Etc/GMT-3", "2026-01-01T03:00:00", "2026-01-01T00:00:00"),
        # The clock skips this hour, half hour and midnight, and repeats the others.
        ("CET-1CEST,M3.5.0,M10.5.0/3", "2026-03-29T02:30:00", "2026-03-29T01:30:00"),
        ("<+1030>-10:30<+11>-11,M10.1.0,M4.1.0", "2026-10-04T02:15:00", "2026-10-03T15:45:00"),
        ("<-04>4<-03>,M9.1.6/24,M4.1.6/24", "2026-09-06T00:30:00", "2026-09-06T04:30:00"),
        ("CET-1CEST,M3.5.0,M10.5.0/3", "2026-10-25T02:30:00", "2026-10-25T00:30:00"),
    ],
)
def test_a_time_without_a_zone_is_local_time(
    monkeypatch: pytest.MonkeyPatch, zone: str, text: str, meant: str
) -> None:
    monkeypatch.setenv("TZ", zone)
    time.tzset()
    try:
        stored = clock.normalise(text)
    finally:
        monkeypatch.undo()
        time.tzset()

    assert stored == f"{meant}.000000+00:00"


def test_after_counts_in_seconds_and_their_parts() -> None:
    assert clock.after("2026-01-01T00:00:00+00:00", 90.5) == "2026-01-01T00:01:30.500000+00:00"


def test_after_a_delay_beyond_the_calendar_is_the_last_moment() -> None:
    assert clock.after(clock.utc_now(), 1e12).startswith("9999-12-31")


def test_a_moment_before_the_calendar_is_the_first_moment() -> None:
    assert clock.after(clock.utc_now(), -1e12).startswith("0001-01-01")


def test_a_text_that_is_no_time_is_refused() -> None:
    with pytest.raises(ValueError, match="yesterday"):
        clock.parse("yesterday")


SECONDS = st.integers(100_000, 200_000_000_000)
ZONES = st.integers(-12, 12).map(lambda hours: timezone(timedelta(hours=hours)))


@given(seconds=SECONDS, zone=ZONES, later=st.integers(0, 9))
def test_texts_sort_as_the_times_they_stand_for(seconds: int, zone: timezone, later: int) -> None:
    first = datetime.fromtimestamp(seconds, zone)
    second = first.astimezone(UTC) + timedelta(microseconds=later)

    assert (clock.to_text(first) < clock.to_text(second)) == (first < second)
