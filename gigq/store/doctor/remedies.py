"""Statements that a finding names as its remedy."""

from __future__ import annotations

from gigq.store.dialect import POSTGRES
from gigq.store.statements import read_only_statements


def remedy(name: str, **parts: str) -> str:
    """Return a statement of `server.sql` with its parts."""
    return read_only_statements(POSTGRES)[name].format(**parts)
