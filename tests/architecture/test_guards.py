"""The table of guards fits the source: `make mutants` can take each one out."""

from __future__ import annotations

import tomllib

import pytest
from support.tree import ROOT

PARTS = tomllib.loads((ROOT / "tools/guards.toml").read_text(encoding="utf-8"))["part"]
GUARDS = [(part["file"], guard) for part in PARTS for guard in part["guards"]]
TESTS = {test for part in PARTS for test in part["tests"]}
TESTS |= {test for _, guard in GUARDS for test in guard.get("tests", ())}


@pytest.mark.parametrize(
    ("file", "guard"), GUARDS, ids=[f"{file}-{guard['name']}" for file, guard in GUARDS]
)
def test_a_guard_stands_once_in_its_file(file, guard):
    source = (ROOT / file).read_text(encoding="utf-8")

    assert guard["without"] != guard["text"]
    assert source.count(guard["text"]) == 1, f"tools/guards.toml has another text than {file}"


@pytest.mark.parametrize("test", sorted(TESTS))
def test_the_tests_that_must_notice_are_there(test):
    file, _, name = test.partition("::")

    assert (ROOT / file).is_file()
    assert f"def {name}(" in (ROOT / file).read_text(encoding="utf-8") or not name
