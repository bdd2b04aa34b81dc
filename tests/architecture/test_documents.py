"""What the pages point to exists: links, headings, files and modules."""

from __future__ import annotations

import re

import pytest
from support.tree import ROOT, documents

pytestmark = pytest.mark.docs

LINK = re.compile(r"(?<!!)\[[^\]]+\]\(([^)\s]+)\)")
CODE = re.compile(r"`([^`\n]+)`")
CODE_BLOCK = re.compile(r"^(```|~~~).*?^\1", re.DOTALL | re.MULTILINE)
OURS = re.compile(r"^(gigq|gigqd|tests|docs|examples|systemd|etc|tools|bench)/[\w./-]*$")
MODULE = re.compile(r"^gigqd?(\.[a-z_]+)+(?<!\.db)(?<!\.fish)(?<!\.toml)(?<!\.service)(?<!\.sock)$")

pages = pytest.mark.parametrize("page", documents(), ids=lambda p: str(p.relative_to(ROOT)))


def prose(page):
    return CODE_BLOCK.sub("", page.read_text(encoding="utf-8"))


def anchors(page):
    """The anchors of a page's headings, made as the usual hosts of Markdown make them."""
    headings = re.findall(r"^#+\s+(.+?)\s*$", prose(page), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", h.lower()).replace(" ", "-") for h in headings}


@pages
def test_every_relative_link_leads_to_a_page_and_a_heading(page):
    broken = []
    for target in LINK.findall(prose(page)):
        if "://" in target or target.startswith("mailto:"):
            continue
        path, _, anchor = target.partition("#")
        there = (page.parent / path).resolve() if path else page
        if not there.exists() or (anchor and anchor not in anchors(there)):
            broken.append(target)

    assert broken == []


@pages
def test_every_file_that_a_page_names_exists(page):
    named = {text for text in CODE.findall(prose(page)) if OURS.match(text)}
    missing = sorted(text for text in named if not (ROOT / text).exists())

    assert missing == []


@pages
def test_every_module_that_a_page_names_exists(page):
    def exists(name):
        path = ROOT.joinpath(*name.split("."))
        return path.with_suffix(".py").exists() or path.is_dir() or defined_in_parent(path)

    def defined_in_parent(path):
        for file in (path.parent.with_suffix(".py"), path.parent / "__init__.py"):
            if file.exists() and re.search(rf"\b{path.name}\b", file.read_text(encoding="utf-8")):
                return True
        return False

    named = {text for text in CODE.findall(prose(page)) if MODULE.match(text)}
    missing = sorted(name for name in named if not (exists(name) or (ROOT / name).exists()))

    assert missing == []
