"""Finds the files that the daemon reads and that another account can change."""

import os
import stat
from collections.abc import Iterator
from pathlib import Path

from gigqd.config.schema import Config

_started_by_root: list[bool] = []


def keep_the_rules_of_root() -> None:
    """Refuse at a reload what root refused at the start, also once root has become an account."""
    _started_by_root.append(True)


def rules_of_root() -> bool:
    """Return True in a process that is root, or was when it started the daemon."""
    return os.geteuid() == 0 or bool(_started_by_root)


def exposed_files(config: Config) -> Iterator[tuple[Path, str]]:
    """Yield each file that every account can change, and how.

    For root also a link that another account has placed before a file that it may not read.
    """
    for path in _files(config):
        if why := _exposure(path):
            yield path, why


def foreign_files(config: Config) -> Iterator[tuple[Path, int]]:
    """Yield each file that belongs to neither root nor this account, with its owner's id."""
    for path in _files(config):
        found = _look(path)
        if found is not None and found.st_uid not in (0, os.geteuid()):
            yield path, found.st_uid


def _files(config: Config) -> Iterator[Path]:
    if config.source:
        yield config.source
    if config.code.environment_file:
        yield config.code.environment_file


def _exposure(path: Path) -> str | None:
    found, folder = _look(path), _look(path.parent)
    if found is None or folder is None:
        return None
    if found.st_mode & stat.S_IWOTH:
        return "every account may write it; run chmod o-w on it"
    if folder.st_mode & stat.S_IWOTH and not folder.st_mode & stat.S_ISVTX:
        return f"every account may replace it; run chmod o-w on {path.parent}"
    entry = path.lstat()
    if rules_of_root() and entry.st_uid not in (0, found.st_uid):
        return f"is a link of user id {entry.st_uid} to a file of another account"
    return None


def _look(path: Path) -> os.stat_result | None:
    try:
        return path.stat()
    except OSError:
        return None
