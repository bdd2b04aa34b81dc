"""The files of the daemon: another project names the same place, or they are deleted."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

from support.configs import to_toml

from gigqd import exit_codes

if TYPE_CHECKING:
    from pathlib import Path

    from torture.daemon import Daemon

_COMMANDS: tuple[tuple[tuple[str, ...], int], ...] = (
    (("stop",), exit_codes.ALREADY_RUNNING),
    (("stop", "--now"), exit_codes.ALREADY_RUNNING),
    (("reload",), exit_codes.ALREADY_RUNNING),
    (("status",), exit_codes.STATUS_UNKNOWN),
)
"""Commands of the other project, and how each of them must end while the daemon runs."""


def other_project(daemon: Daemon) -> Path:
    """Make the configuration of a project with a queue of its own and the daemon's runtime_dir.

    Returns:
        The configuration file.
    """
    folder = daemon.home / "other"
    folder.mkdir()
    settings = {
        "daemon.runtime_dir": str(daemon.runtime_files.directory),
        "queue.database": "other.db",
    }
    (folder / "gigq.toml").write_text(to_toml(settings))
    return folder / "gigq.toml"


def command_of_other_project(pick: float) -> tuple[tuple[str, ...], int]:
    """Return the words of one of its commands, and the exit code that is right."""
    return _COMMANDS[int(pick * len(_COMMANDS))]


def delete(daemon: Daemon, pick: float) -> str:
    """Delete the runtime directory, the folder beside the database, or both.

    Returns:
        What was deleted.
    """
    folders = {
        "runtime directory": daemon.runtime_files.directory,
        "folder beside the database": daemon.place.with_name(f"{daemon.place.name}.gigq"),
    }
    names = [list(folders), ["runtime directory"], ["folder beside the database"]][int(pick * 3)]
    for name in names:
        shutil.rmtree(folders[name], ignore_errors=True)
    return " and ".join(names)
