"""Where a daemon keeps its lock, pid file and control socket when nobody says."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

SYSTEM = Path("/run/gigqd")


def default_runtime_dir(
    values: Mapping[str, Mapping[str, Any]], environ: Mapping[str, str]
) -> Path:
    """The run-time directory of a daemon.

    Args:
        values: the values of each table; daemon.name, daemon.user and queue.database count.
        environ: RUNTIME_DIRECTORY (set by systemd) and XDG_RUNTIME_DIR count.
    """
    daemon = values["daemon"]
    # a daemon that will change its user was started by root and must find the same place after
    by_root = os.geteuid() == 0 or daemon["user"] is not None
    given = environ.get("RUNTIME_DIRECTORY", "").split(":")[0]
    session = environ.get("XDG_RUNTIME_DIR", "")
    if given.startswith("/"):
        place = Path(given)
    elif by_root:
        place = SYSTEM
    elif session.startswith("/"):
        place = Path(session) / "gigqd"
    else:
        place = beside(values["queue"]["database"])
    return place if daemon["name"] == "default" else place / daemon["name"]


def beside(database: str) -> Path:
    """The run-time directory of last resort, next to the queue's file."""
    return Path(database).parent / ".gigqd"
