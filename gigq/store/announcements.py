"""Announcements of daemons beside a database: a small file for each, in `<database>.gigq`.

So a command that may look into that folder knows which queues are served and whether the daemon
is paused, without asking it. The file of a daemon that has died counts no more: it names its run.
"""

from __future__ import annotations

import hashlib
import json
import os
import stat
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from gigq.store import private_files, serving
from gigq.store.liveness import companion, companion_path

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

_PREFIX, _SUFFIX = "daemon-", ".json"
_LARGEST = 1024 * 1024
_TO_READ = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC


def write(database: str | os.PathLike[str], name: str, said: Mapping[str, Any]) -> None:
    """Replace what a daemon says, as a whole.

    Args:
        database: the database file.
        name: the daemon's name.
        said: `name`, `pid`, `run`, `state`, `reason` and `pools`, each of these a dict with
            `name`, `size` and `queues`.

    Raises:
        OSError: it cannot be written.
    """
    path = companion(database) / _file_name(name)
    new = path.with_suffix(".new")
    descriptor = private_files.open_file(new)
    try:
        os.ftruncate(descriptor, 0)
        os.write(descriptor, json.dumps(said).encode())
    finally:
        os.close(descriptor)
    new.replace(path)


def remove(database: str | os.PathLike[str], name: str, run: str) -> None:
    """Remove what a daemon said, unless another one of its name has replaced it.

    Args:
        database: the database file.
        name: the daemon's name.
        run: the daemon's run.
    """
    with suppress(OSError):
        path = companion_path(database) / _file_name(name)
        if any(said["run"] == run for said in _read(path)):
            path.unlink(missing_ok=True)


def is_there(database: str | os.PathLike[str], name: str) -> bool:
    """Return True when the file of a daemon is there."""
    return (companion_path(database) / _file_name(name)).exists()


def living(database: str | os.PathLike[str]) -> list[dict[str, Any]]:
    """Return what the living daemons of a database say, in the order of their names.

    What this user may not read, or what is no such file, is left out.
    """
    said: list[dict[str, Any]] = []
    with suppress(OSError):
        for path in sorted(companion_path(database).glob(f"{_PREFIX}*{_SUFFIX}")):
            said += _read(path)
    alive = [one for one in said if serving.is_gone(os.fspath(database), one["run"]) is False]
    return sorted(alive, key=lambda one: str(one["name"]))


def _file_name(name: str) -> str:
    return f"{_PREFIX}{hashlib.sha256(name.encode()).hexdigest()[:16]}{_SUFFIX}"


def _read(path: Path) -> Iterator[dict[str, Any]]:
    with suppress(OSError, ValueError, RecursionError):
        descriptor = os.open(path, _TO_READ)
        try:
            private_files.require_kind(descriptor, path, stat.S_IFREG)
            said = json.loads(os.read(descriptor, _LARGEST))
        finally:
            os.close(descriptor)
        if _is_whole(said):
            yield said


def _is_whole(said: Any) -> bool:
    """Return whether a file holds what `write` puts there."""
    return (
        isinstance(said, dict)
        and all(isinstance(said.get(key), str) for key in ("name", "run", "state"))
        and isinstance(said.get("reason"), str | None)
        and isinstance(said.get("pools"), list)
        and all(_is_pool(pool) for pool in said["pools"])
    )


def _is_pool(pool: Any) -> bool:
    return (
        isinstance(pool, dict)
        and isinstance(pool.get("name"), str)
        and isinstance(pool.get("queues"), list)
        and all(isinstance(queue, str) for queue in pool["queues"])
    )
