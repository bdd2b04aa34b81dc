"""Checks of database and imports for `gigqd check` and reload, run in a child process."""

from __future__ import annotations

import os
from functools import partial
from typing import TYPE_CHECKING

from gigq.errors import GigqError
from gigq.model.database_address import without_password
from gigq.store import initialization, migrate
from gigq.store.database import Database
from gigq.store.dialect import POSTGRES, SQLITE
from gigq.store.postgres.address import parse
from gigq.store.postgres.pooler import is_direct
from gigq.store.sqlite import initialized_mark
from gigq.store.sqlite.connections import close_connections, open_connection
from gigq.store.sqlite.file.filesystem import resolve
from gigqd import exit_codes
from gigqd.errors import GigqdError
from gigqd.host.database_errors import exit_code_for
from gigqd.host.database_location import refuse_unusable_place
from gigqd.host.privileges import account_name, refuse_unreachable, refuse_unwritable
from gigqd.worker.backend import backend_of
from gigqd.worker.boot import failure, is_of_the_application, prepare

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from gigqd.config import Config

_OF_RECORDER = 2
_FOUND = {
    SQLITE: "a queue of GigQ 0.5.1; the first start or submit upgrades it",
    POSTGRES: "tables of an application; the first start or submit adds what a queue needs",
}
"""What a database with a table `jobs` and without a version is."""


def check_database(config: Config) -> str:
    """Open the database and take its write lock once; nothing is created or migrated.

    Returns:
        The result, in words.

    Raises:
        GigqdError: the daemon could not use it; the exit code is that of `start`.
    """
    if config.database_file is None:
        return _on_server(config, partial(_judge_server, config))
    path = config.database_file
    try:
        refuse_unusable_place(path)
        refuse_unwritable(path.parent)
        real = resolve(path)
        initialized_mark.refuse_lost(real)
        if not path.exists() or not path.stat().st_size:
            return _judge_folder(path)
        initialization.refuse_foreign_log(real)
        return f"{path}: {_judge_schema(Database(lambda: open_connection(path)))}"
    except (GigqError, OSError) as error:
        raise _as_daemon_error(error) from error
    finally:
        close_connections()


def check_path_to_new_folder(config: Config) -> str:
    """Check that the daemon's account can reach a folder that root will make or give to it.

    Returns:
        The effect of the first start, in words.

    Raises:
        GigqdError: the account cannot pass a directory above the folder.
    """
    path = config.database_file or config.place
    refuse_unreachable(path.parent.parent, path.parent)
    who = account_name()
    if config.database_file is None:
        return f"{path.parent} does not exist yet; the first start by root gives it to {who}"
    return f"{path} does not exist yet; the first start by root gives {who} its folder"


def create_queue(config: Config) -> str:
    """Create the queue, also where one was lost, or in a database of another program.

    Returns:
        The result, in words.

    Raises:
        GigqdError: the file cannot be created or used; the exit code is that of `start`.
    """
    if config.database_file is None:
        return _on_server(config, _create_tables)
    path = config.database_file
    try:
        initialization.initialize(path)
        return f"{path}: {_judge_schema(Database(lambda: open_connection(path)))}"
    except (GigqError, OSError) as error:
        raise _as_daemon_error(error) from error
    finally:
        close_connections()


def _on_server(config: Config, judge: Callable[[Database], str]) -> str:
    """Return the judgement about a PostgreSQL database, after its address.

    Raises:
        GigqdError: the database cannot be used.
    """
    backend = backend_of(config)
    try:
        found = judge(Database(backend.connection))
    except GigqError as error:
        raise _as_daemon_error(error) from error
    finally:
        backend.close()
    return f"{without_password(config.queue.database)}: {found}"


def _judge_server(config: Config, database: Database) -> str:
    return (
        _judge_schema(database) + _judge_limit(database, config) + _judge_pooler(database, config)
    )


def _judge_pooler(database: Database, config: Config) -> str:
    """Name the key `pooler` where it is of no use, and empty text elsewhere."""
    if parse(config.queue.database).is_pooled:
        with database.read() as session:
            if is_direct(session.connection):
                return "; pooler = true is not needed, since no pooler is on the way"
    return ""


def _judge_limit(database: Database, config: Config) -> str:
    """Compare the connections that the daemon needs with those that the server allows.

    Each worker has one, and the recorder two. Another daemon needs as many again.
    """
    (row,) = database.all("connection_limit")
    workers = sum(pool.size for pool in config.pools)
    needed, most = workers + _OF_RECORDER, row["most"]
    if needed > most:
        raise GigqdError(
            f"{workers} workers and the recorder need {needed} connections, and the server allows "
            f"this role {most}; raise its max_connections, or use fewer workers",
            exit_code=exit_codes.BAD_CONFIG,
        )
    return f", {needed} connections needed and {most} allowed"


def _create_tables(database: Database) -> str:
    migrate.apply(database)
    return _judge_schema(database)


def check_imports(config: Config) -> str:
    """Prepare this process as a worker does before its first job.

    Returns:
        The imported modules, in words.

    Raises:
        GigqdError: a worker could not boot.
    """
    try:
        hooks = prepare(config, config.pools[0])
    except BaseException as error:
        code = (
            exit_codes.CANNOT_IMPORT if is_of_the_application(error) else exit_codes.INTERNAL_ERROR
        )
        raise GigqdError(failure(error), exit_code=code) from error
    imported = ([hooks.module] if hooks else []) + [*config.code.imports]
    return ", ".join(imported) or "none are configured"


def _as_daemon_error(error: Exception) -> GigqdError:
    text = str(error)
    if isinstance(error, PermissionError):
        who = account_name()
        text = f"{who} may not use {error.filename}: {error.strerror}; check who owns it"
    return GigqdError(text, exit_code=exit_code_for(error))


def _judge_folder(path: Path) -> str:
    if not os.access(path.parent, os.W_OK | os.X_OK):
        text = f"{path} does not exist, and its folder cannot be written"
        raise GigqdError(text, exit_code=exit_codes.NOT_PERMITTED)
    state = "is empty" if path.exists() else "does not exist yet"
    return f"{path} {state}; the first start or submit creates the queue"


def _judge_schema(database: Database) -> str:
    later = migrate.refuse_newer(database)
    with database.transaction(durable=False) as session:
        found = migrate.version_in(session)
        names = {row["name"] for row in session.all("table_names")}
        if "gigq_schema" not in names:
            migrate.refuse_to_begin(session, migrate.Begin.EMPTY)
    if "gigq_schema" in names:
        return f"readable and writable, {later or f'schema {found}'}"
    migrate.refuse_obstacles(database, migrate.Begin.EMPTY)
    if "jobs" in names:
        return _FOUND[database.dialect]
    return "no queue of this version yet; the first start or submit creates it"
