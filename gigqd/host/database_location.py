"""Checks of the database's path, for a start and `gigqd check --db`."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from gigq.errors import StoreUnavailable
from gigq.store.sqlite.file.filesystem import refuse_other_kind, resolve
from gigqd import exit_codes
from gigqd.errors import GigqdError
from gigqd.host.privileges import refuse_unreachable

if TYPE_CHECKING:
    from pathlib import Path


def refuse_unusable_place(database: Path | None) -> None:
    """Refuse a file whose folder is missing or unreachable, or whose path is not a file.

    A start creates no folder there, for the database or for its runtime files.

    Args:
        database: the file; None for a PostgreSQL database, which has no place on this host.

    Raises:
        GigqdError: with the path of the database.
        NotPermitted: with the account and the directory that it cannot pass.
    """
    if database is None:
        return
    refuse_unreachable(database.parent)
    if not os.path.isdir(database.parent):  # noqa: PTH112 - False also where it cannot be seen
        text = f"{database} does not exist, and its folder does not exist"
        raise GigqdError(text, exit_code=exit_codes.DATABASE_UNAVAILABLE)
    try:
        refuse_other_kind(resolve(database))
    except StoreUnavailable as error:
        raise GigqdError(str(error), exit_code=exit_codes.DATABASE_UNAVAILABLE) from error
