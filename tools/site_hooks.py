"""Hooks of mkdocs: pages by pattern in the navigation, links into the repository, copied commands.

mkdocs calls the functions by their names.
"""

from __future__ import annotations

import html
import os
import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
LINK = re.compile(r"\[([^\]]+)\]\(((?:\.\./)+[^)\s#]+)(?:#[^)\s]*)?\)")

BLOCK = re.compile(r'<div class="highlight">(<pre>.*?</pre>)</div>', re.DOTALL)
PROMPT = '<span class="gp">'
NOT_TYPED = re.compile(r'<span class="gp">.*?</span>|<span class="go">.*?</span>\n?', re.DOTALL)
TAG = re.compile(r"<[^>]+>")


def on_config(config):
    """Replace patterns such as `decisions/*.md` in the navigation by the pages that match."""
    config.nav = [_expanded(item, Path(config.docs_dir)) for item in config.nav]


def _expanded(item, docs):
    if isinstance(item, dict):
        return {title: _expanded(value, docs) for title, value in item.items()}
    if isinstance(item, list):
        return [_expanded(value, docs) for value in item]
    if "*" in item:
        return sorted(path.relative_to(docs).as_posix() for path in docs.glob(item))
    return item


def on_page_markdown(markdown, page, **_):
    """Replace a page's links out of docs/ by their text and the path in the repository."""
    folder = (ROOT / "docs" / page.file.src_uri).parent

    def shown(link):
        text, target = link.groups()
        path = Path(os.path.normpath(folder / target))
        if path.is_relative_to(ROOT / "docs") or not path.exists():
            return link[0]  # mkdocs checks it
        return f"{text} (`{path.relative_to(ROOT)}`)"

    return LINK.sub(shown, markdown)


def on_page_content(content, **_):
    """Give each block with prompts the text for its copy button: the commands, without output."""

    def marked(block):
        if PROMPT not in block[1]:
            return block[0]
        typed = html.unescape(TAG.sub("", NOT_TYPED.sub("", block[1])))
        commands = "\n".join(filter(None, typed.split("\n")))  # blank lines are output
        return f'<div class="highlight" data-copy="{html.escape(commands)}">{block[1]}</div>'

    return BLOCK.sub(marked, content)
