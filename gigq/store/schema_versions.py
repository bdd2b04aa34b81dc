"""The versions of the schema: their migrations, and which programs may use which version."""

from __future__ import annotations

import re
from importlib import import_module
from typing import TYPE_CHECKING, NamedTuple

from gigq.store.dialect import dialect_of
from gigq.store.schema_files import latest, steps

if TYPE_CHECKING:
    from pathlib import Path

    from gigq.store.session import Session

__all__ = (
    "Newer",
    "gigq_version",
    "latest",
    "newer",
    "record",
    "steps",
    "usable_after",
    "usable_from",
)

_STATEMENT = re.compile(r"-- usable from: ([0-9]+)\n")


class Newer(NamedTuple):
    """A database that a newer gigq has migrated.

    Attributes:
        schema: its version.
        known: the latest version that this gigq knows.
        usable_from: the oldest version whose programs may use the database.
        applied_by: the version of the gigq that has migrated it; None when it is not stated.
    """

    schema: int
    known: int
    usable_from: int
    applied_by: str | None

    @property
    def is_usable(self) -> bool:
        """True when this gigq may use the database."""
        return self.usable_from <= self.known

    def __str__(self) -> str:
        """Return the versions in words."""
        by = f" from gigq {self.applied_by}" if self.applied_by else ""
        return f"schema {self.schema}{by}, and this gigq knows {self.known}"


def usable_from(file: Path) -> int | None:
    """Return the oldest version whose programs may use the tables after a migration.

    Returns:
        None for a migration that states none; then it is its own version.
    """
    stated = _STATEMENT.match(file.read_text(encoding="utf-8"))
    return None if stated is None else int(stated[1])


def usable_after(dialect: str, found: int) -> int:
    """Return the oldest version whose programs may use a database after the missing migrations."""
    missing = [(number, path) for number, path in steps(dialect) if number > found]
    return max(usable_from(path) or number for number, path in missing)


def record(session: Session, number: int, file: Path) -> None:
    """Record a migration that was just made."""
    oldest = usable_from(file)
    if oldest is None:
        session.run("record_schema_version", {"version": number, "now": session.now})
        return
    stated = {"usable_from": oldest, "applied_by": gigq_version()}
    session.run("record_stated_version", {"version": number, "now": session.now, **stated})


def newer(session: Session, found: int) -> Newer | None:
    """Return the versions of a database that a newer gigq has migrated; None for another one."""
    known = latest(dialect_of(session.connection))
    if found <= known:
        return None
    row = session.one("usable_from") or {}
    return Newer(found, known, int(row["usable_from"]), row["applied_by"])


def gigq_version() -> str:
    """Return the version of this gigq."""
    version: str = import_module("gigq").__version__  # which imports this module
    return version
