"""The site of the documentation builds, with every page in its navigation and no broken link."""

from __future__ import annotations

import os
import re
import subprocess
import sys

import pytest
from support.tree import ROOT

pytestmark = pytest.mark.docs

ELSEWHERE = re.compile(r"""(?:src|<link[^>]*\bhref)=["']?(?:https?:)?//""")


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    folder = tmp_path_factory.mktemp("site")
    built = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--quiet", "--strict", "--site-dir", folder],
        cwd=ROOT,
        env=os.environ | {"NO_MKDOCS_2_WARNING": "1"},
        capture_output=True,
        text=True,
    )
    assert (built.returncode, built.stderr) == (0, "")
    return folder


def test_every_page_is_part_of_the_site(site):
    pages = [page.relative_to(ROOT / "docs") for page in (ROOT / "docs").rglob("*.md")]

    assert [page for page in pages if not (site / page).with_suffix(".html").exists()] == []


def test_a_page_loads_nothing_from_another_host(site):
    pages = list(site.rglob("*.html"))

    assert pages
    assert [page for page in pages if ELSEWHERE.search(page.read_text(encoding="utf-8"))] == []
