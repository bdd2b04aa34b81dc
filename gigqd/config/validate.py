"""Validation: contradictions between keys, and between keys and this host."""

from __future__ import annotations

import grp
import os
import pwd
import stat
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from gigq.model.units import KIB, format_duration, format_size
from gigqd.config.environment import variable_name
from gigqd.config.writable_by_others import exposed_files, rules_of_root
from gigqd.errors import Problem

if TYPE_CHECKING:
    from collections.abc import Iterator

    from gigqd.config.parse import Keys
    from gigqd.config.schema import Config

    Contradiction = tuple[Keys, str]

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
_SMALLEST = 64 * KIB
_RUNTIME_SUFFIXES = (".lock", ".pid", ".sock")


def contradictions(config: Config) -> Iterator[Contradiction]:
    """Yield each key that another key, or this host, contradicts, and how.

    Args:
        config: the configuration, with defaults where a value was bad.
    """
    yield from _pools(config)
    yield from _retries(config)
    yield from _accounts(config)
    yield from _places(config)


def exposed_to_root(config: Config) -> list[Problem]:
    """Return the files through which any account could run commands as root."""
    exposed = exposed_files(config) if rules_of_root() else ()
    return [Problem(str(path), None, "", f"{why}; root does not read it") for path, why in exposed]


def _pools(config: Config) -> Iterator[Contradiction]:
    if not any(pool.size for pool in config.pools):
        keys = ("pools", config.pools[0].name, "size")
        yield keys, "no pool has a worker; give at least one a size of 1 or more"
    by_variable: dict[str, str] = {}
    lock_timeout = config.queue.lock_timeout
    for pool in config.pools:
        if pool.record_timeout <= lock_timeout:
            message = (
                f"{format_duration(pool.record_timeout)} is not longer than queue.lock_timeout "
                f"({format_duration(lock_timeout)}); a worker that waits for a lock would be "
                "replaced, and the outcome of its job lost"
            )
            yield ("pools", pool.name, "record_timeout"), message
        first = by_variable.setdefault(variable_name([pool.name]), pool.name)
        if first != pool.name:
            message = f'is the same name as "{first}" in environment variables; rename one of them'
            yield ("pools", pool.name), message


def _retries(config: Config) -> Iterator[Contradiction]:
    for name in ("", *(pool.name for pool in config.pools)):
        first, _, longest, _ = config.retry_of(name)
        if first > longest and (not name or (first, longest) != _general(config)):
            keys = ("pools", name, "retry_first") if name else ("retry", "first")
            shown = (format_duration(value, exact=True) for value in (first, longest))
            yield keys, "{} is longer than the longest delay, {}".format(*shown)


def _general(config: Config) -> tuple[float, float]:
    return config.retry.first, config.retry.longest


def _accounts(config: Config) -> Iterator[Contradiction]:
    daemon = config.daemon
    if daemon.user is not None:
        problem = _user_problem(daemon.user)
        if problem:
            yield ("daemon", "user"), problem
    if daemon.group is not None:
        problem = _group_problem(daemon.group)
        if problem:
            yield ("daemon", "group"), problem


def _user_problem(name: str) -> str:
    try:
        account = pwd.getpwnam(name)
    except KeyError:
        return f'there is no user "{name}" on this host'
    if os.geteuid() in (0, account.pw_uid):
        return ""
    return "only root can change to another user; start gigqd as root, or leave this out"


def _group_problem(name: str) -> str:
    try:
        group = grp.getgrnam(name)
    except KeyError:
        return f'there is no group "{name}" on this host'
    if os.geteuid() == 0 or group.gr_gid in (os.getegid(), *os.getgroups()):
        return ""
    return "only root can change to another group; start gigqd as root, or leave this out"


def _places(config: Config) -> Iterator[Contradiction]:
    if _is_directory(config.daemon.working_directory) is False:
        what = f"{config.daemon.working_directory} is not a directory; create it, or name another"
        yield ("daemon", "working_directory"), what
    if problem := _log_file_problem(config):
        yield ("log", "file"), problem
    elif problem := _rotation_problem(config):
        yield ("log", "max_size"), problem


def _is_directory(path: Path) -> bool | None:
    """Return None when this account may not read it, as for a user who only asks for the status."""
    try:
        return stat.S_ISDIR(path.stat().st_mode)
    except PermissionError:
        return None
    except OSError:
        return False


def _log_file_problem(config: Config) -> str | None:
    """Return why `log.file` cannot be used, or None.

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


def _rotation_problem(config: Config) -> str | None:
    """Return why the log cannot be rotated as `log.max_size` and `log.keep` ask for, or None."""
    log = config.log
    if not log.max_size:
        return None
    if log.file is None or str(log.file) in DEVICES:
        what = log.file or "standard error under gigqd run, as log.file is not set"
        remedy = "set log.file to a file, or leave this out"
        return f"the log is {what}, which cannot be renamed; {remedy}"
    if log.max_size < _SMALLEST:
        return f"must be 0 or at least {format_size(_SMALLEST)}, not {format_size(log.max_size)}"
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
    """Return the other use of a file, found by its path or by another name of it; or None."""
    place = _place(file)
    companions = Path(f"{config.place}.gigq")
    if _place(companions) in (place, place.parent):
        return "in the folder that gigq keeps beside the database"
    for path, use in _in_use(config):
        if place == _place(path) or _is_same(file, path):
            return use
    return None


def _in_use(config: Config) -> Iterator[tuple[Path, str]]:
    for suffix in _DATABASE_SUFFIXES if config.database_file else ():
        yield Path(config.queue.database + suffix), "the database or a file of SQLite's beside it"
    if config.source:
        yield config.source, "the configuration"
    if config.code.environment_file:
        yield config.code.environment_file, "the environment file"
    for suffix in _RUNTIME_SUFFIXES:
        yield config.daemon.runtime_file(suffix), "one of the daemon's runtime files"


def _place(path: Path) -> Path:
    """Return a path with the links in its parents resolved and its last part kept."""
    return Path(os.path.realpath(path.parent)) / path.name


def _is_same(one: Path, other: Path) -> bool:
    try:
        return one.samefile(other)
    except OSError:
        return False
