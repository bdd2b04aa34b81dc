"""docs/api/hooks.md says what the hooks are, and its example runs as it stands there."""

import re

import pytest
from support.console import differences
from support.tree import ROOT

from gigq.execution.hooks import PARAMETERS

pytestmark = pytest.mark.docs

PAGE = (ROOT / "docs/api/hooks.md").read_text()
MODULE = re.compile(r"^```python\n# (\w+\.py)\n(.*?)^```", re.MULTILINE | re.DOTALL)


def test_the_example_prints_what_stands_there(tmp_path):
    for name, code in MODULE.findall(PAGE):
        (tmp_path / name).write_text(code)

    assert list(differences(PAGE, tmp_path)) == []


def test_every_hook_is_there_with_its_parameters():
    calls = [f"`{name}({', '.join(parameters)})`" for name, parameters in PARAMETERS.items()]

    assert [call for call in calls if f"| {call} |" not in PAGE] == []
