"""docs/api/running-jobs.md says what jobs see, and its examples run as they stand there."""

import re

import pytest
from support.console import differences
from support.tree import ROOT

from gigq import errors

pytestmark = pytest.mark.docs

PAGE = (ROOT / "docs/api/running-jobs.md").read_text()
MODULE = re.compile(r"^```python\n# (\w+\.py)\n(.*?)^```", re.MULTILINE | re.DOTALL)


def test_every_example_prints_what_stands_there(tmp_path):
    for name, code in MODULE.findall(PAGE):
        (tmp_path / name).write_text(code)

    assert list(differences(PAGE, tmp_path)) == []


def test_every_interruption_is_there():
    kinds = errors.JobInterrupted.__subclasses__()

    assert [kind.__name__ for kind in kinds if f"| `{kind.__name__}` |" not in PAGE] == []
