"""The `[code]` table of gigqd's configuration: what an application needs before it is imported."""

from __future__ import annotations

import os
import sys
import tomllib
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from gigq.cli.values import OptionsError
from gigq.store.filesystem import resolve

if TYPE_CHECKING:
    import argparse
    from collections.abc import Mapping

_FOR_THE_HOST = Path("/etc/gigq.toml")


class Code(NamedTuple):
    """What the table says, in the words of docs/configuration.md."""

    python_path: tuple[str, ...] = ()
    imports: tuple[str, ...] = ()
    hooks: str = ""
    environment: Mapping[str, str] = {}


def code_of(args: argparse.Namespace) -> Code:
    """Return the table of the file that `--config` names, else of the one that gigqd would find.

    A file that the command line does not name counts only when its database is the command's.

    Raises:
        OptionsError: the file that `--config` names cannot be read, or a value is of a wrong kind.
    """
    if args.config:
        return _code_in(Path(args.config), _read(Path(args.config)))
    named = os.environ.get("GIGQD_CONFIG")
    found = Path(named) if named else _FOR_THE_HOST
    if not named and not os.access(found, os.R_OK):
        return Code()
    try:
        document = _read(found)
    except OptionsError as error:  # it may be that of another database, or just be edited
        print(f"gigq: warning: {error}; its [code] is not used", file=sys.stderr)
        return Code()
    return _code_in(found, document) if _is_for(document, found, args.db) else Code()


def database_in(file: str) -> str | None:
    """Return the path of the database that a configuration names, or None."""
    path = Path(file)
    return _database_in(_read(path), path)


def _is_for(document: dict[str, Any], file: Path, database: str) -> bool:
    named = _database_in(document, file)
    return named is not None and resolve(named) == resolve(database)


def _database_in(document: dict[str, Any], file: Path) -> str | None:
    queue = document.get("queue")
    named = queue.get("database") if isinstance(queue, dict) else None
    return _path(named, file) if isinstance(named, str) else None


def _read(file: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(file.read_bytes().decode("utf-8-sig"))
    except (OSError, ValueError) as error:
        why = error.strerror if isinstance(error, OSError) else f"no valid TOML: {error}"
        raise OptionsError(f"the configuration {file}: {why}") from error


def _code_in(file: Path, document: dict[str, Any]) -> Code:
    table = document.get("code", {})
    if not isinstance(table, dict):
        raise _mistake(file, "code", "a table")
    environment = table.get("environment", {})
    if not isinstance(environment, dict) or not _are_texts(environment.values()):
        raise _mistake(file, "code.environment", "a table of texts")
    hooks = table.get("hooks", "")
    if not isinstance(hooks, str):
        raise _mistake(file, "code.hooks", "the name of a module")
    folders = _texts(table, "python_path", ["."], file)
    return Code(
        tuple(_path(folder, file) for folder in folders),
        tuple(_texts(table, "imports", [], file)),
        hooks,
        environment,
    )


def _texts(table: dict[str, Any], key: str, default: list[str], file: Path) -> list[str]:
    value = table.get(key, default)
    if not isinstance(value, list) or not _are_texts(value):
        raise _mistake(file, f"code.{key}", "a list of texts")
    return value


def _are_texts(values: Any) -> bool:
    return all(isinstance(value, str) for value in values)


def _path(text: str, file: Path) -> str:
    """Return a path of the configuration; a relative one starts at the file's own folder."""
    return os.path.normpath(file.absolute().parent / Path(text).expanduser())


def _mistake(file: Path, key: str, what: str) -> OptionsError:
    return OptionsError(f"the configuration {file}: {key} is not {what}; see `gigqd check`")
