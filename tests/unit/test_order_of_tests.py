"""Long tests begin first in each process of a run."""

from __future__ import annotations

import pytest
from support.order import long_first


@pytest.mark.parametrize(
    ("items", "processes", "expected"),
    [
        ("abCd", 1, "Cabd"),
        ("abCdEfgh", 2, "CabdEfgh"),
        ("abcdeFGHi", 3, "FabGcdHei"),
        ("ABCDe", 2, "ACBDe"),
        ("abc", 5, "abc"),
        ("ABC", 5, "ABC"),
        ("", 2, ""),
    ],
)
def test_each_process_begins_with_long_ones_and_none_is_lost(items, processes, expected):
    assert "".join(long_first(items, str.isupper, processes)) == expected
