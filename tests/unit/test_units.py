"""Durations and sizes as text."""

import pytest

from gigq import units


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
