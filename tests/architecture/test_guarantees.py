"""Every promise of the page names tests, and those tests exist."""

from __future__ import annotations

import re

import pytest
from support.tree import ROOT

pytestmark = pytest.mark.docs

PAGE = (ROOT / "docs/guarantees.md").read_text(encoding="utf-8")
SECTIONS = dict(re.findall(r"^### (I\d+): (.*?)(?=^##)", PAGE, re.MULTILINE | re.DOTALL))
NAMED = sorted(set(re.findall(r"`(tests/[\w/]+\.py)::(\w+)`", PAGE)))


def test_every_invariant_has_its_section():
    assert list(SECTIONS) == [f"I{number}" for number in range(1, 18)]


@pytest.mark.parametrize("invariant", SECTIONS)
def test_an_invariant_names_a_test_that_holds_it(invariant):
    assert re.search(r"`tests/[\w/]+\.py::\w+`", SECTIONS[invariant])


@pytest.mark.parametrize(("file", "name"), NAMED)
def test_a_named_test_exists(file, name):
    source = (ROOT / file).read_text(encoding="utf-8")

    assert re.search(rf"^(def {name}\(|{name} = )", source, re.MULTILINE)
