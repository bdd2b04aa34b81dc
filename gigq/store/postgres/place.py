"""The folder of this account in which the processes of one host find each other."""

from __future__ import annotations

import os
import stat
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

from gigq.errors import UnsupportedStore
from gigq.store.dialect import POSTGRES
from gigq.store.postgres import drivers, transactions
from gigq.store.statements import statements


class _Limits(NamedTuple):
    lock_timeout: float = 30.0
    urgent: bool = False


def store_of(connection: Any) -> str:
    """Return the id of a queue, the same for all its addresses.

    Raises:
        UnsupportedStore: its row was deleted.
    """
    with transactions.read(_Limits(), connection) as session:
        row = session.one("store_id")
    if row is None:
        remedy = statements(POSTGRES)["new_store_id"]
        raise UnsupportedStore(
            f"{drivers.address_of(connection)} has no id in the table gigq_store, as after a "
            "TRUNCATE of all tables; give it a new one while no process uses the queue: "
            f"{remedy.strip()}"
        )
    return str(row["id"])


def place_of_workers(store: str) -> str:
    """Return the path beside which the plain workers of a queue keep their run locks.

    Its folder need not exist.
    """
    return str(runtime_folder() / store)


def made_place_of(connection: Any) -> str:
    """Return the same path, and make its folder."""
    place = place_of_workers(store_of(connection))
    Path(place).parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    return place


def runtime_folder() -> Path:
    """Return `$XDG_RUNTIME_DIR/gigq`, or a private folder in /tmp.

    Programs that change the account, such as runuser(1), keep the variable of the first one.
    """
    given = os.environ.get("XDG_RUNTIME_DIR", "")
    with suppress(OSError):
        found = os.stat(given)  # noqa: PTH116 - an empty text is no path
        if stat.S_ISDIR(found.st_mode) and found.st_uid == os.getuid():
            return Path(given) / "gigq"
    return Path("/tmp") / f"gigq-{os.getuid()}"  # noqa: S108 - checked before it is used
