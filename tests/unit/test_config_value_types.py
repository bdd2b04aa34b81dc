"""Durations, sizes and the other kinds of value, as TOML and the environment write them."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gigq.model.units import format_duration, format_size
from gigqd.config import value_types
from gigqd.config.mistakes import quote

HERE = Path("/somewhere")


def parse(kind, raw):
    return kind.parse(raw, HERE)


def refusal(kind, raw):
    with pytest.raises(ValueError, match=r".") as caught:
        kind.parse(raw, HERE)
    return str(caught.value)


@pytest.mark.parametrize(
    ("raw", "seconds"),
    [
        ("30s", 30.0), ("5m", 300.0), ("1h30m", 5400.0), ("250ms", 0.25), ("1.5h", 5400.0),
        ("2d", 172800.0), ("1h 5m", 3900.0), ("30", 30.0), (" 7s ", 7.0), (30, 30.0), (0.5, 0.5),
        ("0s", 0.0), (0, 0.0),
    ],
)  # fmt: skip
def test_a_duration_is_read(raw, seconds):
    assert parse(value_types.duration(), raw) == seconds


@pytest.mark.parametrize(
    "raw",
    [
        "", " ", "s", "30 sec", "30S", "5m1h", "1s1s", "-5s", "-5", "1e3", "nan", "inf", "٣s",
        "1_000s", "9" * 400, "9" * 400 + "s", True, None, [], {}, -1, float("nan"), float("inf"),
        -float("inf"), 10**400, "400d", "1h\n2",
    ],
)  # fmt: skip
def test_what_is_no_duration_is_refused_with_a_sentence(raw):
    assert len(refusal(value_types.duration(), raw)) < 140


def test_a_duration_outside_its_bounds_says_which():
    assert refusal(value_types.duration(0.1), 0) == "must be at least 100ms, not 0s"
    assert refusal(value_types.duration(0, 60), "2m") == "must be at most 1m, not 2m"


@pytest.mark.parametrize(
    ("raw", "count"),
    [
        ("512MiB", 512 * 1024**2), ("64KiB", 65536), ("1GB", 10**9), ("1.5KiB", 1536), ("7", 7),
        ("7B", 7), ("2 kb", 2000), (42, 42), ("1TiB", 1024**4),
    ],
)  # fmt: skip
def test_a_size_is_read(raw, count):
    assert parse(value_types.byte_size(), raw) == count


@pytest.mark.parametrize(
    "raw", ["", "MiB", "1XB", "0.3B", "-1KiB", "1 2", 1.0, True, None, 10**400, "9" * 400, "2TiB"]
)
def test_what_is_no_size_is_refused_with_a_sentence(raw):
    assert len(refusal(value_types.byte_size(), raw)) < 140


def test_a_size_without_its_whole_unit_gets_a_hint():
    assert (
        refusal(value_types.byte_size(), "512M") == '"512M" is not a size; did you mean "512 MiB"?'
    )


@given(st.integers(0, 10**10))
def test_a_duration_that_is_shown_is_read_back(milliseconds):
    seconds = milliseconds / 1000
    text = format_duration(seconds, exact=True)

    assert parse(value_types.duration(), text) == pytest.approx(seconds)


@given(st.integers(0, 1024**4))
def test_a_size_that_is_shown_is_read_back(count):
    assert parse(value_types.byte_size(), format_size(count, exact=True)) == count


@given(st.one_of(st.text(), st.integers(), st.floats(), st.booleans(), st.lists(st.integers())))
def test_any_value_is_read_or_refused_with_a_short_printable_message(raw):
    several = (
        value_types.duration(), value_types.byte_size(), value_types.whole(0, 9),
        value_types.octal(), value_types.choice("a", "b"), value_types.PATH,
        value_types.list_of(value_types.PATH), value_types.optional(value_types.text(), ""),
    )  # fmt: skip
    for kind in several:
        try:
            kind.parse(raw, HERE)
        except ValueError as error:
            message = str(error)

            assert message.isprintable()
            assert len(message) < 1000


@given(st.text())
def test_quoted_text_is_toml_for_the_same_text(text):
    quoted = quote(text.encode("utf-8", "replace").decode())

    assert tomllib.loads(f"key = {quoted}")["key"] == text.encode("utf-8", "replace").decode()


def test_a_mask_is_octal_text_because_a_number_would_be_read_as_decimal():
    assert parse(value_types.octal(), "027") == 0o027
    assert parse(value_types.octal(), "0o77") == 0o77
    assert "in quotes" in refusal(value_types.octal(), 27)
    assert "between" in refusal(value_types.octal(), "888")
    assert "between" in refusal(value_types.octal(), "7777")


def test_a_path_starts_at_the_file_and_may_start_at_home(monkeypatch):
    monkeypatch.setenv("HOME", "/home/amy")

    assert parse(value_types.PATH, "../q.db") == Path("/q.db")
    assert parse(value_types.PATH, "/a/./b") == Path("/a/b")
    assert parse(value_types.PATH, "~/q.db") == Path("/home/amy/q.db")
    assert "that is unknown" in refusal(value_types.PATH, "~no-such-user-at-all/q.db")


def test_a_list_names_every_wrong_item_at_once():
    kind = value_types.list_of(value_types.text(str.isalpha, "letters"))

    assert refusal(kind, ["a", 1, "a", "2"]) == (
        'item 2: expected letters, not a whole number; item 3: "a" is listed twice; '
        'item 4: expected letters, not "2"'
    )
    assert refusal(kind, "mail") == 'expected a list, not text; write ["mail"]'


def test_a_choice_is_read_in_any_case_and_hints_at_the_nearest():
    level = value_types.choice("info", "warning")

    assert parse(level, "INFO") == "info"
    assert refusal(level, "inof").endswith('; did you mean "info"?')


def test_of_many_wrong_items_only_some_are_told() -> None:
    with pytest.raises(ValueError, match=r"item 5: .*; and 17 more$") as caught:
        value_types.list_of(value_types.PATH).parse([0] * 22, Path("/"))

    assert "item 6" not in str(caught.value)
