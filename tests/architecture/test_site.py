"""The site of the documentation builds, with every page in its navigation and no broken link."""

from __future__ import annotations

import html
import os
import re
import subprocess
import sys

import pytest
from support.guide import Page
from support.tree import ROOT

pytestmark = pytest.mark.docs

COPIED = re.compile(r'data-copy="([^"]*)"')
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


@pytest.mark.fault("K23")
def test_the_copy_button_takes_the_commands_without_prompts_and_output(site):
    """openfaas/docs#44, chaostoolkit/chaostoolkit-documentation#120: it took the dollar signs."""
    differing = []
    for source in (ROOT / "docs").rglob("*.md"):
        file = source.relative_to(ROOT / "docs").with_suffix(".html")
        copied = [html.unescape(text) for text in COPIED.findall((site / file).read_text())]
        if "\n".join(copied) != "\n".join(Page(f"docs/{file.with_suffix('.md')}").commands):
            differing.append(str(file))
    (bundle,) = site.glob("assets/javascripts/bundle.*.js")

    assert differing == []
    assert 'closest("[data-copy]")' in bundle.read_text()
