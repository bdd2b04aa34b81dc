"""docs/api/running-jobs.md says what jobs see, and its examples run as they stand there."""

import pytest
from support.tree import ROOT

from gigq import errors

pytestmark = pytest.mark.docs

PAGE = (ROOT / "docs/api/running-jobs.md").read_text()


def test_every_interruption_is_there():
    kinds = errors.JobInterrupted.__subclasses__()

    assert [kind.__name__ for kind in kinds if f"| `{kind.__name__}` |" not in PAGE] == []
