"""A copy of gigq and gigqd that knows one schema more, as a later version would."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

import gigq
import gigqd
from gigq.store import schema_versions
from gigq.store.dialect import POSTGRES, SQLITE

if TYPE_CHECKING:
    from support.daemon import Daemon

_ADDED = {
    POSTGRES: "ALTER TABLE jobs ADD COLUMN later TEXT;\n",
    SQLITE: "ALTER TABLE jobs ADD COLUMN later TEXT;\n",
}


def later_version(folder: Path, *, breaks: bool = False) -> Path:
    """Copy the packages and add a migration to each dialect.

    Args:
        folder: the folder for the copies, which is created.
        breaks: True for migrations after which programs of this version may not go on.

    Returns:
        The folder, for PYTHONPATH.
    """
    for package in (gigq, gigqd):
        source = Path(str(package.__file__)).parent
        shutil.copytree(source, folder / source.name)
    for dialect, sql in _ADDED.items():
        number = schema_versions.latest(dialect) + 1
        usable_from = number if breaks else number - 1
        file = folder / "gigq/store/sql/schema" / dialect / f"{number:03}_later.sql"
        file.write_text(f"-- usable from: {usable_from}\n{sql}")
    return folder


def run_with(daemon: Daemon, folder: Path) -> None:
    """Let the next starts of a daemon, and its commands, use the packages of a folder."""
    paths = [str(folder), daemon.environment.get("PYTHONPATH", "")]
    daemon.environment["PYTHONPATH"] = os.pathsep.join(filter(None, paths))
