"""Roles of the PostgreSQL server of a test run."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

import psycopg
from support.postgres import as_role

from gigq.model.ids import new_id

if TYPE_CHECKING:
    from collections.abc import Iterator


ALL_RIGHTS = ("ALL ON ALL TABLES IN SCHEMA {schema}", "ALL ON ALL SEQUENCES IN SCHEMA {schema}")
"""The rights of a daemon that creates no tables."""


@contextmanager
def role(address: str, *grants: str) -> Iterator[str]:
    """The address of the same schema for a role that may only enter it.

    Args:
        address: the address of a superuser.
        grants: rights that it also has, such as `SELECT ON ALL TABLES IN SCHEMA {schema}`.
    """
    name = f"role_{new_id().replace('-', '')}"
    with psycopg.connect(address, autocommit=True) as connection:
        schema = connection.execute("SELECT current_schema()").fetchone()[0]
        connection.execute(f"CREATE ROLE {name} LOGIN")
        for right in ("USAGE ON SCHEMA {schema}", *grants):
            connection.execute(f"GRANT {right.format(schema=schema)} TO {name}")
        try:
            yield as_role(address, name)
        finally:
            connection.execute(f"DROP OWNED BY {name}; DROP ROLE {name}")
