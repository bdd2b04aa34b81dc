"""What can be stored as JSON, and how what cannot is named."""

import datetime as dt
import math
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gigq.errors import InvalidJob, NotJson, TooLarge
from gigq.model import codec


def datetime_of_a_library():
    class Stamp(dt.datetime):
        """As pandas has one."""

    return Stamp(2026, 1, 2)


JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=20,
)


@given(JSON_VALUES)
def test_what_goes_in_as_json_comes_out_the_same(value):
    assert codec.decode(codec.encode(value, "params")) == value


def test_a_tuple_comes_back_as_a_list():
    assert codec.decode(codec.encode({"pair": (1, 2)}, "params")) == {"pair": [1, 2]}


def test_nothing_stored_reads_as_none():
    assert codec.decode(None) is None


@pytest.mark.parametrize(
    ("value", "place", "remedy"),
    [
        ({"rows": [1, 2, 3, {4}]}, "params['rows'][3]: a set is not JSON", "pass a list"),
        ({"when": dt.date(2026, 1, 2)}, "params['when']: a date is not JSON", "isoformat()"),
        ({"a": {"b": b"x"}}, "params['a']['b']: a bytes is not JSON", "base64"),
        ({"x": datetime_of_a_library()}, "params['x']: a Stamp is not JSON", "isoformat()"),
        ({"x": Path("/x")}, "params['x']: a PosixPath is not JSON", "pass it as text"),
        ({"x": object}, "params['x']: a type is not JSON", "plain data"),
        ({"x": {(1, 2): 3}}, "params['x']: the key (1, 2) is a tuple", "text"),
    ],
)
def test_a_value_that_is_not_json_is_named_with_its_place_and_a_remedy(value, place, remedy):
    with pytest.raises(NotJson) as caught:
        codec.encode(value, "params")

    assert str(caught.value).startswith(place)
    assert remedy in str(caught.value)


def test_not_json_is_an_invalid_job_and_a_type_error():
    with pytest.raises(InvalidJob):
        codec.encode({1j}, "params")
    with pytest.raises(TypeError):
        codec.encode({1j}, "params")


def test_a_value_that_contains_itself_is_named():
    loop: list[object] = []
    loop.append({"again": loop})

    with pytest.raises(NotJson, match=r"params\[0\]\['again'\]: contains itself"):
        codec.encode(loop, "params")


def test_a_value_nested_too_deeply_is_refused_and_not_a_crash():
    deep: list[object] = []
    for _ in range(100_000):
        deep = [deep]

    with pytest.raises(NotJson, match="nested more than 100 levels deep"):
        codec.encode(deep, "params")


def test_an_integer_that_python_refuses_to_print_is_refused():
    with pytest.raises(NotJson, match=r"params\['n'\]: an int has too many digits"):
        codec.encode({"n": 10**5000}, "params")


def test_nan_and_infinities_are_written_as_the_json_module_writes_them():
    assert codec.encode([math.nan, math.inf, -math.inf], "params") == "[NaN, Infinity, -Infinity]"
    assert math.isnan(codec.decode("NaN"))
    assert codec.decode("[Infinity, -Infinity]") == [math.inf, -math.inf]


def nested(levels, leaf, kinds):
    for level in range(levels):
        leaf = {"k": leaf} if kinds[level % len(kinds)] is dict else [leaf]
    return leaf


@pytest.mark.parametrize("kinds", [(list,), (dict,), (list, dict), (dict, dict, list)])
@pytest.mark.parametrize("leaf", [0, "é[[{", "]}" * 300])
def test_a_hundred_levels_are_allowed_and_one_more_is_not(kinds, leaf):
    codec.encode(nested(100, leaf, kinds), "params")

    with pytest.raises(NotJson, match="more than 100 levels deep; flatten it"):
        codec.encode({"wide": [0] * 500} | {"k": nested(100, leaf, kinds)}, "params")


def test_a_row_written_by_foreign_sql_that_is_nested_too_deeply_stays_text():
    deep = "[" * 101 + "]" * 101
    far = "[" * 100_000 + "]" * 100_000

    assert codec.decode_row({"params": deep, "result": far}) == {"params": deep, "result": far}


def test_half_a_surrogate_pair_survives():
    assert codec.decode(codec.encode(["\ud800", "é"], "params")) == ["\ud800", "é"]


def test_too_large_says_both_sizes():
    with pytest.raises(TooLarge) as caught:
        codec.encode("é" * 600, "job 'a': the result", limit_bytes=1000)

    assert "job 'a': the result: 1,202 bytes of JSON" in str(caught.value)
    assert "1,000 bytes" in str(caught.value)


def test_the_limit_itself_is_allowed():
    assert codec.encode("a" * 8, "params", limit_bytes=10) == '"aaaaaaaa"'
