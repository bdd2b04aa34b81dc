"""Looking at directories and open files in tests."""

from __future__ import annotations

import gc
import stat
import tempfile
from pathlib import Path

import pytest


def names_in(directory: Path) -> list[str]:
    """The names in a directory, in order."""
    return sorted(path.name for path in directory.iterdir())


def open_up(path: Path) -> None:
    """Let every user pass through a temporary directory. Those above it stay as they are."""
    shared = Path(tempfile.gettempdir())
    for folder in (path, *path.parents):
        if shared in folder.parents:
            folder.chmod(folder.stat().st_mode | 0o011)
        elif not folder.stat().st_mode & stat.S_IXOTH:
            pytest.skip(f"other users may not pass through {folder}")


def open_files() -> set[str]:
    """Return the descriptors of this process, without those that wait for the garbage collector.

    Objects of an earlier test may hold each other and a file, which closes at any later time.
    """
    gc.collect()
    return {path.name for path in Path("/proc/self/fd").iterdir()}
