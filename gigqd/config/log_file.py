"""Checks `log.file`: it must be a plain file of its own, or one of three devices."""

import os
import stat
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from gigqd.config.kinds import show_size
from gigqd.config.schema import Config

DEVICES = ("/dev/null", "/dev/stdout", "/dev/stderr")
"""The devices that the log may be written to."""

_KINDS = {
    stat.S_IFLNK: "is a symbolic link; name the file itself",
    stat.S_IFDIR: "is a directory; a file is needed",
    stat.S_IFIFO: "is a FIFO; a plain file is needed",
    stat.S_IFSOCK: "is a socket; a plain file is needed",
}
_NO_FILE = f"is a device; a plain file is needed, or {', '.join(DEVICES[:2])} or {DEVICES[2]}"
_DATABASE_SUFFIXES = ("", "-wal", "-shm", "-journal")
_SMALLEST = 64 * 1024
_RUNTIME_SUFFIXES = (".lock", ".pid", ".sock")


def log_file_problem(config: Config) -> str | None:
    """Say why `log.file` cannot be used, or None.

    What this account may not look at is no problem: it may only be asking for the status.
    """
    file = config.log.file
    if file is None or str(file) in DEVICES:
        return None
    try:
        if not stat.S_ISDIR(file.parent.stat().st_mode):
            return f"there is no directory {file.parent}; make it first"
        return _problem_with(file, config)
    except PermissionError:
        return None
    except OSError:
        return f"there is no directory {file.parent}; make it first"


def rotation_problem(config: Config) -> str | None:
    """Say why the log cannot be rotated as `log.max_size` and `log.keep` ask for, or None."""
    log = config.log
    if not log.max_size:
        return None
    if log.file is None or str(log.file) in DEVICES:
        what = log.file or "standard error under gigqd run, as log.file is not set"
        remedy = "set log.file to a file, or leave this out"
        return f"the log is {what}, which cannot be renamed; {remedy}"
    if log.max_size < _SMALLEST:
        return f"must be 0 or at least {show_size(_SMALLEST)}, not {show_size(log.max_size)}"
    for number in range(1, log.keep + 1):
        renamed = log.file.with_name(f"{log.file.name}.{number}")
        if owner := _use_of(renamed, config):
            return f"{renamed}, to which the log would be renamed, is {owner}; rename one of them"
    return None


def _problem_with(file: Path, config: Config) -> str | None:
    if owner := _use_of(file, config):
        return f"is {owner}; give the log a file of its own"
    with suppress(FileNotFoundError):
        kind = stat.S_IFMT(file.lstat().st_mode)
        if kind != stat.S_IFREG:
            return _KINDS.get(kind, _NO_FILE)
    return None


def _use_of(file: Path, config: Config) -> str | None:
    """Name what else the file is already, by its place or under another name."""
    place = _place(file)
    companions = Path(f"{config.queue.database}.gigq")
    if _place(companions) in (place, place.parent):
        return "in the folder that gigq keeps beside the database"
    for path, use in _in_use(config):
        if place == _place(path) or _is_same(file, path):
            return use
    return None


def _in_use(config: Config) -> Iterator[tuple[Path, str]]:
    for suffix in _DATABASE_SUFFIXES:
        yield Path(config.queue.database + suffix), "the database or a file of SQLite's beside it"
    if config.source:
        yield config.source, "the configuration"
    if config.code.environment_file:
        yield config.code.environment_file, "the environment file"
    name = config.daemon.name
    stem = "gigqd" if name == "default" else f"gigqd-{name}"
    for suffix in _RUNTIME_SUFFIXES:
        yield config.daemon.runtime_dir / f"{stem}{suffix}", "one of the daemon's runtime files"


def _place(path: Path) -> Path:
    """Return a path with the links in its parents resolved and its last part kept."""
    return Path(os.path.realpath(path.parent)) / path.name


def _is_same(one: Path, other: Path) -> bool:
    try:
        return one.samefile(other)
    except OSError:
        return False
