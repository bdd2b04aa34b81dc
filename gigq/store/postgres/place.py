"""The folder of this account in which the processes of one host find each other."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from gigq.store.dialect import POSTGRES
from gigq.store.postgres import drivers
from gigq.store.statements import statements


def place_of(connection: Any) -> str:
    """Return the path beside which the run locks of a queue are, the same for all its addresses.

    The store has an id of its own, since one database has many addresses. The folder of the path
    need not exist.
    """
    with drivers.store_errors(connection), drivers.cursor_of(connection) as cursor:
        script = "; ".join((*drivers.set_up_of(connection), statements(POSTGRES)["store_id"]))
        store = drivers.last_value(cursor, script)
    return str(runtime_folder() / store)


def made_place_of(connection: Any) -> str:
    """Return the same path, and make its folder."""
    place = place_of(connection)
    Path(place).parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    return place


def runtime_folder() -> Path:
    """Return `$XDG_RUNTIME_DIR/gigq`, or a private folder in /tmp."""
    given = os.environ.get("XDG_RUNTIME_DIR", "")
    if given and Path(given).is_dir():
        return Path(given) / "gigq"
    return Path("/tmp") / f"gigq-{os.getuid()}"  # noqa: S108 - checked before it is used
