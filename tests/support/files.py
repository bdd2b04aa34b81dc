"""Looking at directories in tests."""

from __future__ import annotations

import os
import stat
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path


def names_in(directory: Path) -> list[str]:
    """The names in a directory, in order."""
    return sorted(path.name for path in directory.iterdir())


def open_up(path: Path) -> None:
    """Let every user pass through a directory of ours and those above it, but for shared ones."""
    for folder in (path, *path.parents):
        found = folder.stat()
        if found.st_uid == os.geteuid() and not found.st_mode & stat.S_ISVTX:
            folder.chmod(found.st_mode | 0o011)
