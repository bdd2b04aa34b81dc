"""The example of docs/index.md runs as it stands there."""

import re

import pytest
from support.console import differences
from support.tree import ROOT

pytestmark = pytest.mark.docs

MODULE = re.compile(r"^```python\n# (\w+\.py)\n(.*?)^```", re.MULTILINE | re.DOTALL)


def test_the_example_prints_what_stands_there(tmp_path):
    page = (ROOT / "docs/index.md").read_text()
    ((name, code),) = MODULE.findall(page)
    (tmp_path / name).write_text(code)

    assert list(differences(page, tmp_path)) == []
