"""Durations and sizes as text."""

import pytest

from gigq.model import units


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("300 MB", 300_000_000),
        ("300MB", 300_000_000),
        ("300 mb", 300_000_000),
        ("300 MiB", 314_572_800),
        (" 1 KiB ", 1024),
        ("1 kB", 1000),
        ("1.5 GB", 1_500_000_000),
        ("0.1 GiB", 107_374_182),
        ("2 TiB", 2**41),
        ("1 TB", 10**12),
        ("4096", 4096),
        ("4096 B", 4096),
    ],
)
def test_decimal_units_are_thousands_and_binary_ones_1024(text, size):
    assert units.parse_size(text) == size


@pytest.mark.parametrize(
    "text", ["", "MB", "-1 MB", "1,5 GB", "1 M", "1 PB", "300 MB 1", "1e3", "nan", "0.5", "0.5 B"]
)
def test_what_is_no_size_is_refused_with_the_text_and_an_example(text):
    with pytest.raises(ValueError, match="is not a size; ") as caught:
        units.parse_size(text)

    assert f'"{text}"' in str(caught.value)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0s"), (0.0004, "0.4ms"), (0.25, "250ms"), (1.234, "1.23s"), (59.94, "59.9s"),
        (60, "1m"), (119.9, "1m59s"), (3599, "59m59s"), (3600, "1h"), (7205, "2h"),
        (7265, "2h1m"), (360000, "4d4h"), (-90, "-1m30s"), (float("inf"), "infs"),
    ],
)  # fmt: skip
def test_a_duration_is_shown_in_its_two_largest_units(seconds, text):
    assert units.format_duration(seconds) == text


def test_a_duration_is_shown_in_all_its_units_on_request():
    assert units.format_duration(86_400 + 61.25, exact=True) == "1d1m1s250ms"


@pytest.mark.parametrize(
    ("count", "text"),
    [
        (0, "0 B"), (1023, "1023 B"), (65536, "64 KiB"), (47_500_000, "45.3 MiB"),
        (300_000_000, "286 MiB"), (3 * 2**29, "1.5 GiB"), (2**41, "2 TiB"),
    ],
)  # fmt: skip
def test_a_size_is_shown_with_three_digits(count, text):
    assert units.format_size(count) == text


@pytest.mark.parametrize(
    ("count", "text"), [(300_000_000, "300 MB"), (3 * 2**29, "1536 MiB"), (1025, "1025 B")]
)
def test_a_size_is_shown_exactly_on_request(count, text):
    assert units.format_size(count, exact=True) == text
