"""Where a daemon keeps its lock, pid file and control socket when it is not configured."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

SUFFIX = ".gigqd"
"""The suffix that the folder's name adds to the name of the database."""


def default_runtime_dir(values: Mapping[str, Mapping[str, Any]]) -> Path:
    """Return the runtime directory of a daemon: beside the database, with the name of both.

    It depends on nothing else: each account and each session finds the daemon in the same place.

    Args:
        values: the values of each table; daemon.name and queue.database count.
    """
    name = values["daemon"]["name"]
    place = os.path.realpath(values["queue"]["database"]) + SUFFIX
    return Path(place if name == "default" else f"{place}-{name}")
