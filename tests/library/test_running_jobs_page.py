"""docs/api/running-jobs.md says what jobs see, and its examples run as they stand there."""

import re
from dataclasses import fields

import pytest
from support.console import differences
from support.tree import ROOT

from gigq import errors
from gigq.execution.job_context import CurrentJob

pytestmark = pytest.mark.docs

PAGE = (ROOT / "docs/api/running-jobs.md").read_text()
MODULE = re.compile(r"^```python\n# (\w+\.py)\n(.*?)^```", re.MULTILINE | re.DOTALL)


def test_every_example_prints_what_stands_there(tmp_path):
    for name, code in MODULE.findall(PAGE):
        (tmp_path / name).write_text(code)

    assert list(differences(PAGE, tmp_path)) == []


def test_every_attribute_is_there():
    own = {field.name for field in fields(CurrentJob) if not field.name.startswith("_")}
    properties = {name for name, value in vars(CurrentJob).items() if isinstance(value, property)}

    assert {name for name in own | properties if f"`{name}`" not in PAGE} == set()


def test_every_interruption_is_there():
    kinds = errors.JobInterrupted.__subclasses__()

    assert [kind.__name__ for kind in kinds if f"| `{kind.__name__}` |" not in PAGE] == []
