"""The folder of this account in which the processes of one host find each other."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any, NamedTuple

from gigq.store.postgres import transactions


class _Limits(NamedTuple):
    lock_timeout: float = 30.0
    urgent: bool = False


def place_of(connection: Any) -> str:
    """Return the path beside which the run locks of a queue are, the same for all its addresses.

    The store has an id of its own, since one database has many addresses. The folder of the path
    need not exist.
    """
    with transactions.read(_Limits(), connection) as session:
        (row,) = session.all("store_id")
    return str(runtime_folder() / row["id"])


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
