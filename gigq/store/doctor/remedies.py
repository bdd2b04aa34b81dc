"""Statements and commands that a finding names as its remedy."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING

from gigq.store.dialect import POSTGRES
from gigq.store.statements import SQL, read_only_statements

if TYPE_CHECKING:
    from collections.abc import Mapping


def remedy(name: str, **parts: str) -> str:
    """Return a statement of `server.sql` with its parts."""
    return read_only_statements(POSTGRES)[name].format(**parts)


def grants(script: str, server: Mapping[str, str | None]) -> str:
    """Return the command that gives a role its rights with one of the installed scripts.

    Args:
        script: the script, `submitter` or `worker`.
        server: the row of the statement `server`; without a schema the command has a gap for it.
    """
    role, schema = f"role={server['role']}", f"schema={server['namespace'] or 'SCHEMA'}"
    file = str(SQL / "grants" / f"{script}.sql")
    return shlex.join(["psql", "-v", role, "-v", schema, "-f", file, server["database"] or ""])
