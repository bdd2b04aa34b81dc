"""Preparation that all children need, done once before the first fork."""

from __future__ import annotations

from contextlib import suppress
from importlib import import_module
from typing import TYPE_CHECKING

from gigq.errors import UnsupportedStore
from gigq.store import schema_versions
from gigq.store.database import transactions_of
from gigq.store.dialect import POSTGRES, SQLITE
from gigq.store.sqlite.file.filesystem import refuse_network
from gigq.store.statements import statements

if TYPE_CHECKING:
    from gigqd.config import Config


# What the children of a daemon on PostgreSQL import within their functions.
_LOADED_BY_NAME = (
    "gigq.store.lease_renewal",
    "gigq.store.online_migration",
    "gigqd.recorder.requested_output",
    "gigqd.recorder.server_storage",
    "gigqd.worker.claim_lease",
)


def preload(config: Config) -> None:
    """Read the store's modules, its statements and the mounted file systems; open no database.

    Otherwise each child needs a millisecond and most of a megabyte for that, and loads modules that
    an update may have replaced since the daemon started.
    """
    dialect = SQLITE if config.database_file else POSTGRES
    transactions_of(dialect)
    statements(dialect)
    schema_versions.latest(dialect)
    with suppress(UnsupportedStore):  # the recorder reports it
        if dialect == POSTGRES:
            _load_modules_of_postgres()
        refuse_network(str(config.place))


def _load_modules_of_postgres() -> None:
    import pkgutil

    from gigq.store import postgres
    from gigq.store.postgres.connections import driver

    driver()
    for name in _LOADED_BY_NAME:
        import_module(name)
    for module in pkgutil.iter_modules(postgres.__path__, f"{postgres.__name__}."):
        import_module(module.name)
