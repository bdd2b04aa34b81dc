"""Databases on a server that hold no queue: encoding, search_path, objects of other programs."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from gigq.errors import UnsupportedStore
from gigq.store.postgres import drivers
from gigq.store.postgres.errors import code_of, is_from_driver
from gigq.store.session import MissingRight

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from gigq.store.session import Row, Session

_ENCODING = "UTF8"
_OWN_TABLES = frozenset({"gigq_schema", "gigq_store"})
_TABLES = _OWN_TABLES | {"jobs", "job_executions", "job_dependencies"}
_OWN_SCHEMA = "give the queue a schema of its own, such as ?schema=gigq in its address"
HIDDEN = "row-level security hides all rows of"
SHOW = "disable it for the tables of the queue, or create a policy for the role on each of them"
_RIGHT = "42501"
_OF_OTHER_OBJECTS = frozenset({"0A000", "23502", "2BP01"})
"""Codes of a table that is altered, besides the class 42 for names and definitions."""


def checked_version(session: Session, tables: list[Row], read: Callable[[], int]) -> int:
    """Return the version of the schema.

    Args:
        session: the transaction.
        tables: the tables of the schema, rows of the statement `table_names`.
        read: returns the version.

    Raises:
        UnsupportedStore: the database cannot hold a queue; the message names the remedy.
        MissingRight: row-level security hides the queue from the role.
    """
    names = {row["name"] for row in tables}
    refuse_encoding(session.connection)
    if not names:
        refuse_without_schema(session)
    if any(row["has_row_security"] for row in tables):
        refuse_hidden_tables(session)
    with objects_refused(session):
        version = read()
    missing = sorted(_TABLES - names)
    if missing and names & _OWN_TABLES:
        raise UnsupportedStore(
            f"{drivers.address_of(session.connection)} has a part of the tables of a queue, or "
            f"tables of another program: {', '.join(sorted(names & _TABLES))}, and not "
            f"{', '.join(missing)}; restore the missing ones from a backup, or drop the others and "
            f"run gigq migrate, or {_OWN_SCHEMA}"
        )
    if not version and "gigq_schema" in names:
        raise UnsupportedStore(
            f"{drivers.address_of(session.connection)} has the table gigq_schema without a "
            "version in it, as after a TRUNCATE of all tables: restore its rows from a backup and "
            "leave it out of the TRUNCATE, or drop the tables of the queue and run gigq migrate, "
            f"or {_OWN_SCHEMA}"
        )
    return version


def refuse_encoding(connection: Any) -> None:
    """Refuse a database in which not every text can be stored.

    The server has reported the encoding at the login; a pooler may not have passed it on.

    Raises:
        UnsupportedStore: its encoding is not UTF8.
    """
    found = connection.info.parameter_status("server_encoding")
    if found not in {None, _ENCODING}:
        raise UnsupportedStore(
            f"{drivers.address_of(connection)} is encoded in {found}, and a queue needs UTF8; "
            "create a database for it: CREATE DATABASE name ENCODING 'UTF8' TEMPLATE template0"
        )


def refuse_without_schema(session: Session) -> None:
    """Refuse a connection whose search_path names no schema, unless its address names one.

    Raises:
        UnsupportedStore: tables have no schema there.
    """
    if drivers.schema_of(session.connection) is not None:
        return
    row = session.one("current_schema")
    if row is None or row["name"] is None:
        path = row["search_path"] if row else ""
        raise UnsupportedStore(
            f"{drivers.address_of(session.connection)}: the search_path of the role is {path!r}, "
            "in which there is no schema that the role may use; name one with ?schema=NAME in the "
            "address"
        )


def refuse_queue_behind(session: Session) -> None:
    """Refuse to create a second queue in front of one that the search_path leads to as well.

    The default search_path is `"$user", public`: once a schema with the name of the role exists,
    new processes would find an empty queue there, and no process the jobs of the first one.

    Raises:
        UnsupportedStore: the first schema of the search_path has no queue, and a later one has.
    """
    row = session.one("schema_of_queue")
    if row is not None and row["name"] != row["first"]:
        raise UnsupportedStore(
            f"{drivers.address_of(session.connection)}: the search_path {row['search_path']} "
            f"begins with the schema {row['first']}, and the queue is in {row['name']}; add "
            f"?schema={row['name']} to the address, or ?schema={row['first']} to create another "
            "queue there. Nothing was changed"
        )


def refuse_hidden_tables(session: Session) -> None:
    """Refuse a role to which a table of the queue seems empty: it would find no job.

    Raises:
        MissingRight: row-level security hides all rows of a table from the role.
    """
    hidden = [row["name"] for row in session.all("hidden_tables")]
    if hidden:
        raise MissingRight(
            f"{drivers.address_of(session.connection)}: {HIDDEN} {' and '.join(hidden)} from the "
            f"role; {SHOW}"
        )


@contextmanager
def objects_refused(session: Session) -> Iterator[None]:
    """Explain an error of the server about objects that have the names of gigq's, and are not.

    Raises:
        UnsupportedStore: the server has refused a statement about them.
    """
    try:
        yield
    except Exception as error:
        code = code_of(error) if is_from_driver(error) else ""
        if code == _RIGHT or not (code.startswith("42") or code in _OF_OTHER_OBJECTS):
            raise
        said = str(error).split("\n", 1)[0]
        raise UnsupportedStore(
            f"{drivers.address_of(session.connection)} has objects of another program with names "
            f"that gigq uses ({said}); {_OWN_SCHEMA}. Nothing was changed"
        ) from error
