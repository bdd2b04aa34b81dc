"""Texts from the command line as values."""

from __future__ import annotations

import argparse
import time
from datetime import datetime

import pytest

from gigq.cli import arguments, job_options
from gigq.cli.arguments import OptionsError
from gigq.model import clock


@pytest.mark.parametrize(
    ("given", "meant"),
    [
        ("width=300", ("width", 300)),
        ("ratio=0.5", ("ratio", 0.5)),
        ("file=cat.jpg", ("file", "cat.jpg")),
        ("url=http://h/?a=b", ("url", "http://h/?a=b")),
        ("tags=[1, null]", ("tags", [1, None])),
        ('name="42"', ("name", "42")),
        ("yes=true", ("yes", True)),
        ("none=", ("none", "")),
        ("nan=NaN", ("nan", "NaN")),
        ("huge=-Infinity", ("huge", "-Infinity")),
        ("version=1.10", ("version", "1.10")),
        ("version=1.1", ("version", 1.1)),
        ("sha=12345e7", ("sha", "12345e7")),
        ("zero=-0", ("zero", "-0")),
        ("small=1e-07", ("small", 1e-07)),
        ("large=12345678901234567890123", ("large", 12345678901234567890123)),
        ("digits=" + "9" * 5000, ("digits", "9" * 5000)),
        ("inside=[1.10]", ("inside", [1.1])),
    ],
)
def test_a_parameter_is_json_or_else_text(given, meant):
    assert arguments.parameter(given) == meant


@pytest.mark.parametrize("wrong", ["width", "=300", ""])
def test_a_parameter_without_a_key_or_a_sign_is_a_usage_error(wrong):
    with pytest.raises(argparse.ArgumentTypeError, match="is not KEY=VALUE"):
        arguments.parameter(wrong)


@pytest.mark.parametrize("text", ["null", "[1", "1.10", '"x"', "", "a=b"])
def test_a_text_parameter_stays_as_it_was_typed(text):
    assert arguments.text_parameter(f"key={text}") == ("key", text)


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ("deep=" + "[" * 100_000 + "]" * 100_000, "deep: is nested too deeply; 100 levels"),
        ('sizes={"a": 1, "a": 2}', "sizes: the name 'a' appears twice in an object"),
    ],
)
def test_json_that_no_job_can_have_is_a_usage_error(wrong, said):
    with pytest.raises(argparse.ArgumentTypeError, match=said):
        arguments.parameter(wrong)


@pytest.mark.parametrize("right", ["myapp.send", "myapp.mail:send", "/srv/app.py:send"])
def test_a_function_has_a_module_and_a_name(right):
    assert arguments.function_path(right) == right


@pytest.mark.parametrize("wrong", ["send", ".send", "myapp.", "myapp:", ""])
def test_a_function_without_one_of_them_is_a_usage_error(wrong):
    with pytest.raises(argparse.ArgumentTypeError, match=r"is not MODULE\.FUNCTION"):
        arguments.function_path(wrong)


@pytest.mark.parametrize(("given", "meant"), [("5", 5), ("0.25", 0.25), ("0", 0)])
def test_a_whole_number_stays_whole(given, meant):
    assert repr(arguments.number(given)) == repr(meant)


@pytest.mark.parametrize("wrong", ["-1", "nan", "inf", "soon", "", "²"])
def test_what_is_not_a_number_of_at_least_zero_is_a_usage_error(wrong):
    with pytest.raises(argparse.ArgumentTypeError):
        arguments.number(wrong)


@pytest.mark.parametrize(
    ("given", "seconds"),
    [("30", 30 * 86_400), ("0.5", 43_200), ("30d", 30 * 86_400), ("1h30m", 5400), ("250ms", 0.25)],
)
def test_an_age_is_a_duration_or_a_number_of_days(given, seconds):
    assert arguments.age(given) == seconds


@pytest.mark.parametrize("wrong", ["", "-1", "soon", "30m1h", "1h1h", "3 weeks", "1d,2h", "nan"])
def test_what_is_no_duration_is_a_usage_error(wrong):
    with pytest.raises(argparse.ArgumentTypeError, match="not a duration"):
        arguments.age(wrong)


@pytest.mark.parametrize("wrong", ["3651d", "315360001", "9" * 20])
def test_a_delay_that_no_job_may_have_is_a_usage_error(wrong):
    assert arguments.duration("3650d") == 315_360_000
    with pytest.raises(argparse.ArgumentTypeError, match="is too long; give at most 3650d"):
        arguments.duration(wrong)


@pytest.mark.parametrize("convert", [arguments.count, arguments.amount])
@pytest.mark.parametrize("digits", [19, 20, 5000])
def test_a_number_that_the_database_cannot_compare_is_a_usage_error(convert, digits):
    assert convert("9" * 18) == 10**18 - 1
    with pytest.raises(argparse.ArgumentTypeError, match="is too large"):
        convert("9" * digits)


@pytest.mark.parametrize("wrong", ["0", "0.0", "-3"])
def test_a_timeout_of_nothing_is_a_usage_error(wrong):
    with pytest.raises(argparse.ArgumentTypeError):
        arguments.positive(wrong)


@pytest.mark.parametrize("wrong", ["0", "-1", "1.5", "many"])
def test_a_count_is_whole_and_at_least_one(wrong):
    with pytest.raises(argparse.ArgumentTypeError):
        arguments.count(wrong)


def test_an_empty_variable_counts_as_unset(monkeypatch):
    monkeypatch.setenv("GIGQ_DB", "")

    assert arguments.from_environment("GIGQ_DB", "gigq.db") == "gigq.db"


def test_a_file_of_parameters_that_is_too_large_is_refused_and_not_read_to_its_end(
    tmp_path, monkeypatch
):
    monkeypatch.setattr(job_options, "_LARGEST_FILE", 2**20)
    file = tmp_path / "params.json"
    file.write_bytes(b" " * 2**20 + b"{}")

    with pytest.raises(OptionsError, match="is larger than 1 MiB"):
        job_options._in_file(str(file))


@pytest.fixture
def berlin(monkeypatch):
    """The zone of Berlin, at 22:15 on the eve of the day on which summer time begins."""
    monkeypatch.setenv("TZ", "CET-1CEST,M3.5.0,M10.5.0/3")
    monkeypatch.setattr(clock, "utc_now", lambda: "2026-03-28T21:15:00.500000+00:00")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ("23:30", "2026-03-28T23:30:00+01:00"),
        ("22:15:01", "2026-03-28T22:15:01+01:00"),
        ("22:15", "2026-03-29T22:15:00+02:00"),
        ("9:05", "2026-03-29T09:05:00+02:00"),
        ("tomorrow 23:30", "2026-03-29T23:30:00+02:00"),
        ("Tomorrow  09:00", "2026-03-29T09:00:00+02:00"),
        ("2026-12-01 09:00", "2026-12-01T09:00:00+01:00"),
        ("2026-12-01", "2026-12-01T00:00:00+01:00"),
        ("2026-12-01T09:00:00Z", "2026-12-01T10:00:00+01:00"),
        ("tomorrow 02:30", "2026-03-29T03:30:00+02:00"),
        ("2026-03-29 02:30", "2026-03-29T03:30:00+02:00"),
        ("2026-10-25 02:30", "2026-10-25T02:30:00+02:00"),
    ],
)
def test_a_time_is_a_date_or_the_next_such_local_time(berlin, text, meant):
    assert arguments.moment(text) == datetime.fromisoformat(meant)


@pytest.mark.parametrize("text", ["tomorrow", "today 09:00", "24:00", "9", "23.30", "23:30:60", ""])
def test_a_time_that_is_none_is_refused_with_the_forms_that_work(text):
    with pytest.raises(argparse.ArgumentTypeError, match=r"such as 23:30, 'tomorrow 09:00', '2026"):
        arguments.moment(text)
