"""The files that a how-to page shows: code blocks whose first line is a comment with a path."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from support.tree import ROOT

if TYPE_CHECKING:
    from pathlib import Path

FILE = re.compile(
    r"^```(?:python|toml)\n# ([\w./]+\.(?:py|toml))(?:, at the end)?\n(.*?)^```",
    re.MULTILINE | re.DOTALL,
)


def files_of(page: str) -> dict[str, str]:
    """Return the files of docs/howto/<page>.md by path."""
    return dict(FILE.findall((ROOT / f"docs/howto/{page}.md").read_text(encoding="utf-8")))


def write_files(page: str, folder: Path, *, append: tuple[str, ...] = ()) -> None:
    """Write a page's files into a folder.

    Args:
        page: the page's name.
        folder: where its files go.
        append: paths of files that the page shows a part of; it is written at their end.
    """
    for name, text in files_of(page).items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("a" if name in append else "w", encoding="utf-8") as file:
            file.write(text)
