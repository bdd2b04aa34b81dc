"""Adoption of tables that an application has made, as the subclass in docs/api/core.md does.

Its columns, indexes and rows stay. The columns that gigq has besides are added. Functions that are
left of a queue whose tables were dropped make room for new ones.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from gigq.errors import UnsupportedStore
from gigq.store.dialect import POSTGRES
from gigq.store.statements import statements
from gigq.store.table_definition import parse

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from gigq.store.session import Session

_TABLE = re.compile(r"\bTABLE IF NOT EXISTS (\w+) \(.*?^\)[^;]*;", re.DOTALL | re.MULTILINE)
_BODY = re.compile(r"\$\$(.*?)\$\$", re.DOTALL)
_DEFAULT = re.compile(r"\bDEFAULT ('[^']*'|\S+)")
_OTHER_PLACE = (
    "rename the table, or name another schema with ?schema=NAME in the address: then gigq makes "
    "its own. Nothing was changed"
)
_TEXTS = frozenset({"text", "character varying", "character"})
_NUMBERS = frozenset(
    {"smallint", "integer", "bigint", "numeric", "real", "double precision"},
)


def adopt(session: Session, schema: str) -> None:
    """Add what the existing tables lack.

    Args:
        session: the transaction.
        schema: the script that creates the tables of a new queue.

    Raises:
        UnsupportedStore: columns of a table hold values of another kind; with a list of them.
    """
    for change in changes(session, schema):
        session.run_script(change)


def changes(session: Session, schema: str) -> list[str]:
    """Return the statements that add what the existing tables lack.

    Raises:
        UnsupportedStore: as for `adopt`.
    """
    found = list(_drops(session, schema))
    for table, wanted in tables_of(schema):
        have = {
            row["name"]: row["type"] for row in session.all("columns_of_table", {"name": table})
        }
        if have:
            _refuse_other_kinds(table, wanted, have)
            _refuse_other_tables(session, table, have)
            found += _changes(table, wanted, have)
    return found


def tables_of(schema: str) -> Iterator[tuple[str, Mapping[str, str]]]:
    """Yield each table that a script creates, and the definitions of its columns by name."""
    for found in _TABLE.finditer(schema):
        yield found[1], parse(found[0]).columns


def _drops(session: Session, schema: str) -> Iterator[str]:
    """Yield statements that drop functions of a queue whose tables were dropped without them.

    A function of another program has another text, and stays.
    """
    own = set(_BODY.findall(schema))
    drop = statements(POSTGRES)["drop_function"]
    for row in session.all("functions_of_gigq"):
        if row["body"] in own:
            yield drop.format(function=row["name"])


def _changes(table: str, wanted: Mapping[str, str], have: Mapping[str, str]) -> Iterator[str]:
    sql = statements(POSTGRES)
    for name, definition in wanted.items():
        default = _DEFAULT.search(definition)
        if name not in have:
            yield sql["add_column"].format(table=table, definition=definition)
        elif default:
            yield sql["set_default"].format(table=table, column=name, value=default[1])


def _refuse_other_kinds(table: str, wanted: Mapping[str, str], have: Mapping[str, str]) -> None:
    wrong = [
        f"{table}.{name} is {have[name]}, not {kind}"
        for name, definition in wanted.items()
        if name in have and have[name] not in (_TEXTS if _is_text(definition) else _NUMBERS)
        for kind in ["text" if _is_text(definition) else "a number"]
    ]
    if wrong:
        raise UnsupportedStore(
            f"the tables cannot be used as a queue: {'; '.join(wrong)}. Change the type of these "
            f"columns, or {_OTHER_PLACE}"
        )


def _refuse_other_tables(session: Session, table: str, have: Mapping[str, str]) -> None:
    """Refuse a table that only has the name of one of a queue's."""
    if table == "jobs":
        lacks = "" if session.all("unique_ids") else "no column id that is its primary key"
    else:
        lacks = "" if "job_id" in have else "no column job_id"
    if lacks:
        raise UnsupportedStore(
            f"the table {table} is not one of a queue: it has {lacks}. Add it, or {_OTHER_PLACE}"
        )


def _is_text(definition: str) -> bool:
    return " TEXT" in definition.upper()
