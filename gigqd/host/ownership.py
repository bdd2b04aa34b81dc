"""Creation of files for the daemon's account by root, before the process changes to that account.

Root acts only where no other account can have created anything. It walks down a path directory by
directory, with a descriptor of each, and stops at the first entry that another account could have
created, because a link there could lead anywhere. The daemon's account creates what is below, with
its own rights.
"""

from __future__ import annotations

import os
import stat
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from gigqd.host.privileges import Account

_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_NEW_FILE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
_FILE_MODE = 0o640
_MODE_ABOVE = 0o755  # of directories that are made on the way
_MOST_LINKS = 40


def give_directory(
    path: Path, account: Account, *, make: int | None, fits: Callable[[list[str]], bool]
) -> None:
    """Give a directory of root's, and the entries in it, to an account.

    Nothing is done where another account can have created the directory or an entry.

    Args:
        path: the directory.
        account: the account that owns it afterwards.
        make: the mode with which it is made when it is missing; None leaves it missing.
        fits: returns True for the names in a directory that is to be given.
    """
    with _path_walk(path) as walk:
        if not walk.descend(make) or not _is_roots_alone(os.fstat(walk.descriptor)):
            return
        names = os.listdir(walk.descriptor)  # noqa: PTH208 - by a descriptor
        if fits(names):
            for name in names:
                _give_entry(name, walk.descriptor, account)
            os.fchown(walk.descriptor, account.uid, account.gid)


def give_file(path: Path, account: Account) -> None:
    """Give a file in a directory of root's to an account; create it if it is missing."""
    with _path_walk(path.parent) as walk:
        if not walk.descend(None) or (here := os.fstat(walk.descriptor)).st_uid != 0:
            return
        try:
            descriptor = os.open(path.name, _NEW_FILE, _FILE_MODE, dir_fd=walk.descriptor)
        except FileExistsError:
            if _is_roots_alone(here):
                _give_entry(path.name, walk.descriptor, account)
            return
        os.fchown(descriptor, account.uid, account.gid)
        os.close(descriptor)


def would_give_directory(path: Path, fits: Callable[[list[str]], bool]) -> bool:
    """Return True when `give_directory` would make this directory or change its owner."""
    with _path_walk(path) as walk:
        if not walk.descend(None):
            return walk.may_make
        names = os.listdir(walk.descriptor)  # noqa: PTH208 - by a descriptor
        return _is_roots_alone(os.fstat(walk.descriptor)) and fits(names)


def others_may_write(found: os.stat_result) -> bool:
    """Return True when a file's mode lets accounts besides its owner and root's group write."""
    return bool(found.st_mode & stat.S_IWOTH or (found.st_mode & stat.S_IWGRP and found.st_gid))


class _PathWalk:
    """A walk from the root directory down a path.

    Attributes:
        descriptor: the directory that is reached.
        may_make: True when the walk ended at a missing entry that root may create.
    """

    def __init__(self, path: Path) -> None:
        self.descriptor = os.open("/", _DIRECTORY)
        self.may_make = False
        self._left = list(path.parts[1:])
        self._links = 0

    def descend(self, make: int | None) -> bool:
        """Descend while only root can have created the next entry.

        Args:
            make: the mode of the last directory, which is created with those above it; None
                creates none.

        Returns:
            True when the last directory is reached.
        """
        while self._left:
            here = os.fstat(self.descriptor)
            entry = _entry(self._left[0], self.descriptor)
            if entry is None:
                self.may_make = _is_roots_alone(here) or _is_sticky(here)
                if make is None or not self.may_make:
                    return False
                self._make(make if len(self._left) == 1 else _MODE_ABOVE)
            elif not _is_roots_choice(here, entry) or not self._enter(entry):
                return False
        return True

    def _make(self, mode: int) -> None:
        with suppress(FileExistsError):  # another process made it; the next turn reads it
            os.mkdir(self._left[0], mode, dir_fd=self.descriptor)

    def _enter(self, entry: os.stat_result) -> bool:
        """Enter the next directory or follow a link; return False at another file."""
        name = self._left.pop(0)
        if stat.S_ISLNK(entry.st_mode):
            return self._follow(os.readlink(name, dir_fd=self.descriptor))
        if not stat.S_ISDIR(entry.st_mode):
            return False
        self._move_to(os.open(name, _DIRECTORY, dir_fd=self.descriptor))
        return True

    def _follow(self, target: str) -> bool:
        self._links += 1
        if target.startswith("/"):
            self._move_to(os.open("/", _DIRECTORY))
        self._left[:0] = [part for part in target.split("/") if part]
        return self._links <= _MOST_LINKS

    def _move_to(self, descriptor: int) -> None:
        os.close(self.descriptor)
        self.descriptor = descriptor


@contextmanager
def _path_walk(path: Path) -> Iterator[_PathWalk]:
    walk = _PathWalk(path)
    try:
        yield walk
    finally:
        os.close(walk.descriptor)


def _entry(name: str, directory: int) -> os.stat_result | None:
    try:
        return os.stat(name, dir_fd=directory, follow_symlinks=False)
    except FileNotFoundError:
        return None


def _is_roots_choice(directory: os.stat_result, entry: os.stat_result) -> bool:
    """Return True when only root can have created an entry and can replace it."""
    return _is_roots_alone(directory) or (_is_sticky(directory) and entry.st_uid == 0)


def _is_roots_alone(directory: os.stat_result) -> bool:
    return directory.st_uid == 0 and not others_may_write(directory)


def _is_sticky(directory: os.stat_result) -> bool:
    """Return True when others may add to root's directory but replace nothing, as in /tmp."""
    return directory.st_uid == 0 and bool(directory.st_mode & stat.S_ISVTX)


def _give_entry(name: str, directory: int, account: Account) -> None:
    found = _entry(name, directory)
    if found is not None and (stat.S_ISDIR(found.st_mode) or found.st_nlink == 1):
        os.chown(name, account.uid, account.gid, dir_fd=directory, follow_symlinks=False)
