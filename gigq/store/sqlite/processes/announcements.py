"""Announcements of daemons beside a database: one small file for each in `<database>.gigq`.

From these files a command that may read the folder learns which queues are served and whether the
daemon is paused, without asking the daemon. A file names its daemon's run; the file of a dead run
is ignored.
"""

from __future__ import annotations

import json
import os
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from gigq.model.digest import digest
from gigq.store.sqlite.file import private_files
from gigq.store.sqlite.processes import lock_holders
from gigq.store.sqlite.processes.run_locks import companion, companion_path

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

_PREFIX, _SUFFIX = "daemon-", ".json"
_LARGEST = 1024 * 1024


def write(database: str | os.PathLike[str], name: str, said: Mapping[str, Any]) -> None:
    """Write a daemon's announcement; it replaces the earlier one as a whole.

    Args:
        database: the database file.
        name: the daemon's name.
        said: `name`, `pid`, `run`, `state`, `reason` and `pools`; each pool is a dict with
            `name`, `size` and `queues`.

    Raises:
        OSError: the file cannot be written.
    """
    path = companion(database) / _file_name(name)
    new = path.with_suffix(".new")
    private_files.write(new, json.dumps(said).encode())
    new.replace(path)


def remove(database: str | os.PathLike[str], name: str, run: str) -> None:
    """Remove a daemon's announcement, unless another daemon of its name has replaced it.

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
    """Return True when a daemon's announcement exists."""
    return (companion_path(database) / _file_name(name)).exists()


def living(database: str | os.PathLike[str]) -> list[dict[str, Any]]:
    """Return the announcements of a database's living daemons, ordered by name.

    Files that this user may not read, and files in another format, are left out.
    """
    said: list[dict[str, Any]] = []
    with suppress(OSError):
        for path in sorted(companion_path(database).glob(f"{_PREFIX}*{_SUFFIX}")):
            said += _read(path)
    alive = [one for one in said if lock_holders.is_gone(os.fspath(database), one["run"]) is False]
    return sorted(alive, key=lambda one: str(one["name"]))


def _file_name(name: str) -> str:
    return f"{_PREFIX}{digest(name, 8).hex()}{_SUFFIX}"


def _read(path: Path) -> Iterator[dict[str, Any]]:
    with suppress(OSError, ValueError, RecursionError):
        said = json.loads(private_files.read(path, _LARGEST))
        if _is_whole(said):
            yield said


def _is_whole(said: Any) -> bool:
    """Return True for content in the format of `write`."""
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
