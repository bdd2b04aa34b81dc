"""The examples of docs/index.md and docs/reference run as they stand there."""

import re

import pytest
from support.console import differences
from support.tree import ROOT

pytestmark = pytest.mark.docs

MODULE = re.compile(r"^```python\n# (\w+\.py)\n(.*?)^```", re.MULTILINE | re.DOTALL)
PAGES = [ROOT / "docs/index.md", *(ROOT / "docs/reference").glob("*.md")]
WITH_EXAMPLES = [page for page in PAGES if "```console" in page.read_text()]


@pytest.mark.parametrize("page", WITH_EXAMPLES, ids=lambda page: page.name)
def test_the_example_prints_what_stands_there(page, tmp_path):
    text = page.read_text()
    ((name, code),) = MODULE.findall(text)
    (tmp_path / name).write_text(code)

    assert list(differences(text, tmp_path)) == []


def test_the_pages_about_the_library_have_examples():
    assert {"jobs.md", "queue.md", "worker.md", "errors.md", "events.md"} <= {
        page.name for page in WITH_EXAMPLES
    }
