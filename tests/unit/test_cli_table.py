"""What the command prints, made from values."""

from __future__ import annotations

import re
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gigq.cli import formatting, table
from gigq.terminal import cells, printable, shorten

ROWS = [("1", "short", "completed"), ("22", "a rather long name of a job", "failed")]
NAME = {"Name": table.NARROWEST}
TITLES = ("ID", "Name", "Status")


@pytest.fixture
def berlin(monkeypatch):
    monkeypatch.setenv("TZ", "Europe/Berlin")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


def test_a_table_is_boxed_in_ascii():
    assert table.table(("Status", "Count"), [("pending", 3), ("total", 12)]).splitlines() == [
        "+---------+-------+",
        "| Status  | Count |",
        "+---------+-------+",
        "| pending | 3     |",
        "| total   | 12    |",
        "+---------+-------+",
    ]


def test_wide_characters_and_combining_marks_keep_the_box_straight():
    drawn = table.table(("Name", "N"), [("日本語", 1), ("cafe\u0301", 2)])

    assert {cells(line) for line in drawn.splitlines()} == {14}


def test_a_table_gives_way_to_the_terminal_first_by_its_elastic_column():
    drawn = table.table(TITLES, ROWS, fit=table.Fit(40, NAME, ("Status",)))

    assert {cells(line) for line in drawn.splitlines()} == {40}
    assert "a rather long na... |" in drawn
    assert "Status" in drawn


def test_then_by_the_columns_that_may_be_left_out():
    drawn = table.table(TITLES, ROWS, fit=table.Fit(28, NAME, ("Status",)))

    assert "Status" not in drawn
    assert max(map(cells, drawn.splitlines())) <= 28


def test_and_never_by_the_id():
    drawn = table.table(TITLES, ROWS, fit=table.Fit(1, NAME, ("Status",)))

    assert "| 22 |" in drawn


def test_only_the_status_column_is_painted():
    drawn = table.table(TITLES, [("1", "failed", "failed")], paint=table.painted_status)

    assert drawn.splitlines()[3] == "| 1  | failed | \x1b[31mfailed\x1b[0m |"


@given(st.text())
def test_no_control_character_is_ever_printed(anything):
    shown = table.table((" ",), [(anything,)]) + formatting.fields([("Error", anything)])

    assert all(c.isprintable() or c == "\n" for c in shown)


@given(st.text(), st.integers(min_value=4, max_value=40))
def test_a_shortened_text_fits(anything, width):
    assert cells(shorten(anything, width)) <= width


def test_terminal_escapes_and_direction_marks_are_shown_not_obeyed():
    assert printable("\x1b[2J\u202eevil\x9b") == r"\x1b[2J\u202eevil\x9b"


def test_a_traceback_keeps_its_lines():
    shown = formatting.fields([("Error", "ValueError: no\n\tFile 'x'\n\x1b[31mred")])

    assert shown.splitlines() == [
        "Error:",
        "  ValueError: no",
        "          File 'x'",
        r"  \x1b[31mred",
    ]


def test_times_are_local_with_their_zone(berlin):
    shown = formatting.local_time("2026-11-23T19:09:12.123456+00:00")

    assert shown == "2026-11-23 20:09:12+01:00"


def test_no_time_is_a_dash():
    assert formatting.local_time(None) == "-"
    assert formatting.seconds("2026-11-23T19:09:12.123456+00:00", None) == "-"


def test_how_long_something_took_is_in_seconds():
    started, ended = "2026-11-23T19:09:12.000000+00:00", "2026-11-23T19:10:13.250000+00:00"

    assert formatting.seconds(started, ended) == "1m1s"


def test_every_colour_is_switched_off_again():
    painted = table.painted_status("Status", "timeout  ")

    assert re.fullmatch(r"\x1b\[\d+mtimeout  \x1b\[0m", painted)
