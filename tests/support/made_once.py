"""Folders that a run of pytest fills once, by the first of its processes that needs one."""

from __future__ import annotations

import fcntl
import os
import shutil
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    import pytest


def made_once(factory: pytest.TempPathFactory, name: str, make: Callable[[Path], object]) -> Path:
    """A folder with a name; a test may only read it, or copy it.

    Args:
        factory: the fixture `tmp_path_factory`.
        name: a name that nothing else of the run has.
        make: fills the folder, which is empty.
    """
    place = factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        place = place.parent
    folder, new = place / name, place / f"{name}.new"
    with (place / f"{name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not folder.exists():
            shutil.rmtree(new, ignore_errors=True)  # another process has failed
            new.mkdir()
            make(new)
            new.rename(folder)
    return folder
