"""Creation of a database file that is private from the beginning."""

from __future__ import annotations

import os

from gigq.errors import StoreUnavailable
from gigq.store.sqlite.file.filesystem import refuse_network, resolve
from gigq.store.sqlite.file.identity import file_id, refuse_stray_log


def create(path: str | os.PathLike[str]) -> None:
    """Create an empty file at `path`, readable by its owner only, unless a file exists.

    Raises:
        UnsupportedStore: the path is on a network file system.
        StoreGone: the log of a lost file is there.
        StoreUnavailable: it cannot be created.
    """
    real = resolve(path)
    refuse_network(real)
    create_private(real)


def create_private(path: str) -> None:
    """Do the same as `create` for an absolute path that `refuse_network` has accepted."""
    # Exclusive, and before any connection: closing a file that SQLite has open in this process
    # would drop SQLite's locks. SQLite gives the -wal and -shm files the same mode.
    if file_id(path) is not None:
        return
    refuse_stray_log(path)
    try:
        os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_RDWR | os.O_CLOEXEC, 0o600))
    except FileExistsError:
        return
    except OSError as error:
        raise StoreUnavailable(
            f"{path} cannot be created: {error.strerror}; check that the folder exists and that "
            "this user may write in it"
        ) from error
