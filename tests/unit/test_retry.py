"""`Retry`: the delays between attempts."""

import math
import re
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gigq import Retry


def test_delays_grow_by_the_factor_up_to_the_longest():
    retry = Retry(first=5, factor=2, longest=60, jitter=0)

    assert [retry.delay(n) for n in (1, 2, 3, 4, 5, 6)] == [5, 10, 20, 40, 60, 60]


def test_durations_are_numbers_texts_and_timedeltas():
    assert Retry(first="5s", longest="1h") == Retry(first=5.0, longest=timedelta(hours=1))


@given(
    attempt=st.one_of(st.integers(1, 100), st.sampled_from([60, 10**6, 10**12])),
    first=st.floats(0, 3600),
    factor=st.floats(1, 1e300),
    jitter=st.floats(0, 1),
)
def test_no_delay_is_negative_or_longer_than_the_longest(attempt, first, factor, jitter):
    retry = Retry(first=first, factor=factor, longest=3600, jitter=jitter)

    assert 0 <= retry.delay(attempt) <= 3600


@pytest.mark.parametrize("end", [0, 1])
def test_the_jitter_is_a_share_of_the_delay_in_both_directions(end):
    retry = Retry(first=100, factor=1, longest=1000, jitter=0.2)

    assert retry.delay(1, lambda low, high: (low, high)[end]) == pytest.approx((80, 120)[end])


@pytest.mark.parametrize(("end", "delay"), [(0, 80), (1, 100)])
def test_the_jitter_does_not_lengthen_the_longest_delay(end, delay):
    retry = Retry(first=100, factor=1, longest=100, jitter=0.2)

    assert retry.delay(1, lambda low, high: (low, high)[end]) == delay


@pytest.mark.parametrize(
    ("values", "problem"),
    [
        ({"first": "soon"}, 'first: "soon" is not a duration'),
        ({"first": -1}, "first is -1; give a number from 0"),
        ({"first": True}, "first is True"),
        ({"factor": 0.5}, "factor is 0.5; give a number from 1"),
        ({"jitter": 2}, "jitter is 2; give a number from 0 to 1"),
        ({"longest": float("inf")}, "longest is inf"),
        ({"longest": None}, "longest is None"),
        ({"factor": 10**400}, "factor is 1000000000"),
        ({"factor": 10**5000}, "factor is an int; give a number from 1"),
        ({"factor": math.inf}, "factor is inf; give a number from 1"),
        ({"first": b"x" * 5000}, "first is b'xxx"),
        ({"first": f"{'0' * 5000}2h"}, 'first: "000'),
        ({"first": "2h"}, "first is '2h', longer than longest ('1h')"),
    ],
)
def test_a_value_that_makes_no_sense_is_named(values, problem):
    with pytest.raises(ValueError, match=re.escape(problem)):
        Retry(**values)
