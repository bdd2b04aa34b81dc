"""Absolute paths with their symbolic links kept, so that a new release behind a link is found."""

from __future__ import annotations

import functools
import os
import sys


def _working_folder() -> str | None:
    try:
        return os.getcwd()  # noqa: PTH109
    except FileNotFoundError:
        return None


_folder_at_start = _working_folder()
"""The working folder at the import of gigq: relative names on the command line start there."""


def of_main(file: str) -> str:
    """Return the path of the main module's file as it was given to Python.

    Python has made a relative path absolute with the kernel's name of the folder, without links.

    Args:
        file: the `__file__` of the main module.
    """
    return _of_main(file) if file[:1] == os.sep else absolute(file)


def absolute(path: str) -> str:
    """Return a typed path as an absolute one; links are kept."""
    if path[:1] == os.sep:
        return _plain(path)
    here = _working_folder() or os.sep
    shell = _shell_folder(here)
    return _plain(os.path.join(shell or here, path))  # noqa: PTH118


def below(folder: str, path: str) -> str:
    """Return a path relative to a folder as an absolute one, without `..` and with its links.

    As for the kernel, `..` after a link is the folder above the link's target.
    """
    whole = os.path.join(folder, path)  # noqa: PTH118
    before, up, behind = f"{whole}/".rpartition("/../")
    if not up:
        return os.path.normpath(whole)
    head = before + up
    plain, real = os.path.normpath(head), os.path.realpath(head)
    start = plain if os.path.realpath(plain) == real else real
    return os.path.normpath(os.path.join(start, behind))  # noqa: PTH118


def archive_of(file: str) -> str | None:
    """Return the archive, as of zipapp, that contains a module's file, or None."""
    folder = os.path.dirname(file)  # noqa: PTH120
    while folder not in ("", os.sep):
        if os.path.isfile(folder):  # noqa: PTH113
            return folder
        folder = os.path.dirname(folder)  # noqa: PTH120
    return None


@functools.cache
def _of_main(file: str) -> str:
    shell = None if file in sys.orig_argv else _shell_folder(_folder_at_start)
    if shell is not None and _folder_at_start is not None:
        return _plain(_replaced(file, _folder_at_start, shell))
    return _plain(file)


def _shell_folder(folder: str | None) -> str | None:
    """Return the shell's path of a folder, with its links; None if the shell is in another one."""
    shell = os.environ.get("PWD", "")
    if folder is None or shell[:1] != os.sep or not _is_same(shell, folder):
        return None
    return shell


def _replaced(file: str, folder: str, by: str) -> str:
    beginning = folder.rstrip(os.sep) + os.sep
    if not file.startswith(beginning):
        return file
    return os.path.join(by, file[len(beginning) :])  # noqa: PTH118


def _plain(path: str) -> str:
    """Return a path without `.`, `..` and repeated slashes that leads to the same file."""
    plain = os.sep + os.path.normpath(path).lstrip(os.sep)
    # After a link, `..` is not the folder before the link.
    return plain if plain == path or _is_same(plain, path) else os.path.realpath(path)


def _is_same(one: str, other: str) -> bool:
    try:
        return os.path.samefile(one, other)  # noqa: PTH121
    except (OSError, ValueError):  # a path with NUL in it names no file
        return False
