"""The page of faults and the markers of the tests agree."""

from __future__ import annotations

import ast
import re
from collections import defaultdict

import pytest
from support.tree import ROOT, modules, parsed

pytestmark = pytest.mark.docs

CATALOGUE = {
    "A": [*range(1, 9), 10, 11, *range(13, 18), 20, 21, 22, 23, 24, 25, 26],
    "B": [*range(1, 8), 9, 10, *range(12, 17)],
    "C": [*range(1, 7), 8, 9, 11, 12, 13, 14, 16, 18, 19, 20, 21],
    "D": [*range(1, 6), 7, *range(9, 16)],
    "E": [1, 2, 3, 5, 7, 10, 11, 12, 13],
    "F": [*range(1, 9), 10, 11, 14, 15, 16, 17],
    "G": [*range(1, 6), 7, 8, *range(10, 23)],
    "H": [*range(1, 5), 6, 10, 11],
    "I": [1, 2, 3],
    "J": [*range(1, 7)],
    "K": [*range(1, 27)],
    "L": [*range(1, 30)],
    "M": [*range(1, 9)],
    "N": [*range(1, 13)],
    "O": [*range(1, 12)],
    "S": [*range(1, 8)],
}
IDS = {f"{family}{number}" for family, numbers in CATALOGUE.items() for number in numbers}
ROW = re.compile(r"^\| ([A-Z]\d+) \| (.+) \| (.+) \|$", re.MULTILINE)
RULE = re.compile(r"^\| (P\d+) \| (.+) \|$", re.MULTILINE)
PAGE = (ROOT / "docs/faults.md").read_text(encoding="utf-8")


def markers():
    """The ids that tests are marked with, and the files of those tests."""
    found = defaultdict(set)
    for file in modules("tests"):
        for node in ast.walk(parsed(file)):
            if isinstance(node, ast.Call) and ast.unparse(node.func) == "pytest.mark.fault":
                for each in node.args:
                    found[ast.literal_eval(each)].add(str(file.relative_to(ROOT)))
    return found


def rows():
    """The ids of the page, and what it says proves them."""
    return {row: proof for row, _, proof in ROW.findall(PAGE)}


def test_every_fault_of_the_catalogue_is_on_the_page_and_no_other():
    assert rows().keys() == IDS


def test_every_fault_is_played_by_a_test_or_left_out_for_a_reason():
    played = markers()
    silent = [
        row
        for row, proof in rows().items()
        if row not in played and not re.fullmatch(r"left out: .{20,}", proof)
    ]

    assert silent == []


def test_every_file_that_the_page_names_has_a_test_that_plays_the_fault():
    played = markers()
    wrong = [
        (row, file)
        for row, proof in rows().items()
        for file in re.findall(r"`([^`]+)`", proof)
        if not proof.startswith("left out") and file not in played[row]
    ]

    assert wrong == []


def test_no_test_is_marked_with_an_unknown_fault():
    assert set(markers()) <= IDS


def test_every_rule_that_holds_after_a_test_is_on_the_page():
    checks = (ROOT / "tests/support/checks.py").read_text(encoding="utf-8")
    known = set(re.findall(r"\bP\d+\b", checks))

    assert {rule for rule, _ in RULE.findall(PAGE)} == {f"P{n}" for n in range(1, 11)}
    assert known <= {f"P{n}" for n in range(1, 11)}
