"""docs/api/hooks.md says what the hooks are, and its example runs as it stands there."""

import pytest
from support.tree import ROOT

from gigq.execution.hooks import PARAMETERS

pytestmark = pytest.mark.docs

PAGE = (ROOT / "docs/api/hooks.md").read_text()


def test_every_hook_is_there_with_its_parameters():
    calls = [f"`{name}({', '.join(parameters)})`" for name, parameters in PARAMETERS.items()]

    assert [call for call in calls if f"| {call} |" not in PAGE] == []
