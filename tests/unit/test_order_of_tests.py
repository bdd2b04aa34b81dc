"""Long tests begin first in each process of a run, and each process reads other files first."""

from __future__ import annotations

import pytest
from support.order import long_first, own_order


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


def test_each_process_reads_all_folders_and_begins_with_another_one(monkeypatch):
    monkeypatch.setenv("PYTEST_XDIST_WORKER_COUNT", "3")
    orders = []
    for number in range(3):
        monkeypatch.setenv("PYTEST_XDIST_WORKER", f"gw{number}")
        orders.append(own_order(list("abcdef")))

    assert ["".join(order) for order in orders] == ["abcdef", "cdefab", "efabcd"]


def test_a_run_in_one_process_reads_the_folders_in_their_order(monkeypatch):
    monkeypatch.delenv("PYTEST_XDIST_WORKER", raising=False)
    monkeypatch.delenv("PYTEST_XDIST_WORKER_COUNT", raising=False)

    assert own_order(["a", "b"]) == ["a", "b"]
