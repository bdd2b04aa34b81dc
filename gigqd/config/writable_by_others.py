"""Search for files that the daemon reads and that another account can change."""

import os
import stat
from collections.abc import Iterator
from pathlib import Path

from gigqd.config.schema import Config

_MOST_ENTRIES = 1000  # links may go in circles
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
    found = _look(path)
    if found is None:
        return None
    if found.st_mode & stat.S_IWOTH:
        return "every account may write it; run chmod o-w on it"
    for entry in _entries_on_the_way(path.absolute()):
        if _every_account_may_replace_in(entry.parent):
            what = "it" if entry == path.absolute() else str(entry)
            return f"every account may replace {what}; run chmod o-w on {entry.parent}"
    owner = path.lstat().st_uid
    if rules_of_root() and owner not in (0, found.st_uid):
        return f"is a link of user id {owner} to a file of another account"
    return None


def _entries_on_the_way(path: Path) -> Iterator[Path]:
    """Yield each folder and link on an absolute path, then the file."""
    folder, left = Path("/"), [*path.parts]
    for _ in range(_MOST_ENTRIES):
        if not left:
            return
        part = left.pop(0)
        if part in ("/", ".."):
            folder = Path("/") if part == "/" else folder.parent
            continue
        yield folder / part
        if (folder / part).is_symlink():
            left = [*(folder / part).readlink().parts, *left]
        else:
            folder /= part


def _every_account_may_replace_in(folder: Path) -> bool:
    found = _look(folder)
    if found is None or not found.st_mode & stat.S_IWOTH:
        return False
    return not found.st_mode & stat.S_ISVTX


def _look(path: Path) -> os.stat_result | None:
    try:
        return path.stat()
    except OSError:
        return None
