"""Processes that live in a folder: the daemon, its workers and their children."""

from __future__ import annotations

import time
from contextlib import suppress
from typing import TYPE_CHECKING

import psutil

if TYPE_CHECKING:
    from pathlib import Path

_PATIENCE = 2.0


def living_in(folder: Path) -> set[int]:
    """The processes whose working directory is in a folder. A zombie has none."""
    return {process.pid for process in psutil.process_iter() if _lives_in(process, folder)}


def left_in(folder: Path) -> set[int]:
    """The processes that have not ended a moment after they should have."""
    end = time.monotonic() + _PATIENCE
    while (living := living_in(folder)) and time.monotonic() < end:
        time.sleep(0.05)
    return living


def _lives_in(process: psutil.Process, folder: Path) -> bool:
    with suppress(psutil.Error, FileNotFoundError):  # of others, the folder may be gone
        return bool(process.is_running()) and folder.samefile(process.cwd())
    return False
