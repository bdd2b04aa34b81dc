"""What the command reads in gigqd's configuration: the database, and the `[code]` table."""

from __future__ import annotations

import functools
import os
import sys
import tomllib
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from gigq import configuration_file
from gigq.cli import arguments
from gigq.cli.arguments import DefaultText
from gigq.cli.errors import OptionsError
from gigq.errors import UnsupportedStore
from gigq.model import paths_with_links
from gigq.model.database_address import KEYS_OF_ADDRESS, is_address, without_password
from gigq.model.flags import parse_flag
from gigq.store.sqlite.file.filesystem import absolute, refuse_address, resolve
from gigq.terminal import printable

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterable, Mapping

_NO_FILE = Path("environment")
_OF_QUEUE = "GIGQD_QUEUE__"
_DATABASE = f"{_OF_QUEUE}DATABASE"
_VARIABLES = "GIGQD_CODE__"
_OF_WORKERS = f"{_VARIABLES}ENVIRONMENT__"
_LISTS = ("python_path", "imports")
_SETTABLE = (*_LISTS, "hooks", "environment_file")
_KEYS = (*_SETTABLE, "environment")
TABLES = ("daemon", "queue", "retention", "retry", "code", "log", "security", "pools")
"""Every table of the file."""

KEYS_OF_QUEUE = (
    "database",
    *KEYS_OF_ADDRESS,
    "lease",
    "lock_timeout",
    "durability",
    "unknown_function_wait",
    "max_result_size",
)
"""Every key of the table `[queue]`."""


class Code(NamedTuple):
    """The values of the table; docs/configuration.md describes them."""

    python_path: tuple[str, ...] = ()
    imports: tuple[str, ...] = ()
    hooks: str = ""
    environment: Mapping[str, str] = {}


def database_of(args: argparse.Namespace) -> str:
    """Return a command's database: an address, or a path, absolute if it imports user code.

    Without `--db` it is the database of the configuration that `--config` names, else that of
    `$GIGQ_DB`, else that of the configuration that gigqd would find.

    Raises:
        OptionsError: the configuration cannot be read.
    """
    named: str = args.db
    if isinstance(named, DefaultText) and (args.config or not os.environ.get("GIGQ_DB")):
        file = Path(args.config) if args.config else _search()
        named = _database_in(_read(file), file) or named
    # User code may change the working directory. Other commands show the path as it was given.
    return str(absolute(named)) if hasattr(args, "app_dir") else named


def code_of(args: argparse.Namespace) -> Code:
    """Return the `[code]` table of the file that `--config` names or that gigqd would find.

    The latter counts only when its database is the command's. Variables such as
    GIGQD_CODE__IMPORTS override the file, as for gigqd.

    Raises:
        OptionsError: the file that `--config` names cannot be read, or a value has a wrong type.
    """
    if args.config:
        return _code_in(Path(args.config), _read(Path(args.config)))
    file = _search()
    try:
        document = _read(file)
        named = _database_in(document, file)
    except OptionsError as error:  # the file may belong to another database, or be half-edited
        print(f"gigq: warning: {error}; its [code] is not used", file=sys.stderr)
        return Code()
    is_for = named is not None and _identity(named) == _identity(args.db)
    return _code_in(file, document) if is_for else Code()


def _identity(database: str) -> str:
    """Return a text that is equal for two names of one file, or for two equal addresses."""
    return without_password(database) if is_address(database) else resolve(database)


def _search() -> Path:
    """Return the file that gigqd would find, or `_NO_FILE`."""
    file, _, refused = configuration_file.search(os.environ)
    if refused:
        _warn(refused)
    if file == configuration_file.FOR_THE_HOST and not os.access(file, os.R_OK):
        return _NO_FILE
    return Path(file) if file else _NO_FILE


@functools.cache
def _warn(refused: str) -> None:
    """Warn once that a configuration in the folder, and its database, are not used."""
    print(f"gigq: warning: {printable(refused)}", file=sys.stderr)


def _database_in(document: dict[str, Any], file: Path) -> str | None:
    named = os.environ.get(_DATABASE)
    if named is None:
        _refuse_unknown(document, file)
        named = document.get("queue", {}).get("database")
    if named is None:
        return None
    if not isinstance(named, str) or not named:
        raise _mistake(file, "queue.database", "the path of a file or a postgresql:// address")
    if is_address(named):
        return _address(named, document, file)
    try:
        refuse_address(named)
    except UnsupportedStore as error:
        raise _refused("database", file, error) from error
    return _path(named, file)


def _address(named: str, document: dict[str, Any], file: Path) -> str:
    """Return an address with the options that other keys of `[queue]` give, or variables."""
    from gigq.store.postgres.address import with_keys

    keys = {key: document.get("queue", {}).get(key) for key in KEYS_OF_ADDRESS}
    for key in KEYS_OF_ADDRESS:
        if (value := os.environ.get(variable := _OF_QUEUE + key.upper())) is not None:
            keys[key] = _flag(variable, value) if key == "pooler" else value
    for key, value in keys.items():
        kind = bool if key == "pooler" else str
        if value is not None and not isinstance(value, kind):
            raise _mistake(file, f"queue.{key}", "true or false" if kind is bool else "a text")
    try:
        return with_keys(named, keys)
    except UnsupportedStore as error:
        raise _refused(getattr(error, "key", "database"), file, error) from error


def _flag(variable: str, value: str) -> bool:
    try:
        return parse_flag(value)
    except ValueError as error:
        raise OptionsError(f"{variable}: {error}") from None


def _refused(key: str, file: Path, error: UnsupportedStore) -> OptionsError:
    """Return the error that names the key or the variable with a value that is refused."""
    variable = _OF_QUEUE + key.upper()
    place = variable if variable in os.environ else f"the configuration {file}: queue.{key}"
    return OptionsError(f"{place}: {error}")


def _refuse_unknown(document: dict[str, Any], file: Path) -> None:
    """Refuse an unknown table, key or variable: it may be a misspelt `queue.database`."""
    for table in document.keys() - set(TABLES):
        raise _unknown(file, table, "table", TABLES)
    queue = document.get("queue", {})
    if not isinstance(queue, dict):
        raise _mistake(file, "queue", "a table")
    for key in queue.keys() - set(KEYS_OF_QUEUE):
        raise _unknown(file, f"queue.{key}", "key", KEYS_OF_QUEUE)
    known = [_OF_QUEUE + key.upper() for key in KEYS_OF_QUEUE]
    for name in os.environ:
        if name.startswith(_OF_QUEUE) and name not in known:
            raise OptionsError(f"{name}: unknown variable{arguments.near(name, known)}")


def _unknown(file: Path, name: str, kind: str, known: Iterable[str]) -> OptionsError:
    near = arguments.near(name.rpartition(".")[2], known)
    return OptionsError(f"the configuration {file}: {name}: unknown {kind}{near}")


def _read(file: Path) -> dict[str, Any]:
    if file is _NO_FILE:
        return {}
    try:
        return tomllib.loads(file.read_bytes().decode("utf-8-sig"))
    except (OSError, ValueError) as error:
        why = error.strerror if isinstance(error, OSError) else f"not valid TOML: {error}"
    except RecursionError:
        why = "not valid TOML: nested too deeply"
    raise OptionsError(f"the configuration {file}: {why}")


def _code_in(file: Path, document: dict[str, Any]) -> Code:
    table = document.get("code", {})
    if not isinstance(table, dict):
        raise _mistake(file, "code", "a table")
    for key in table.keys() - set(_KEYS):
        raise _unknown(file, f"code.{key}", "key", _KEYS)
    environment = table.get("environment", {})
    if not isinstance(environment, dict) or not _are_texts(environment.values()):
        raise _mistake(file, "code.environment", "a table of texts")
    table = table | _from_variables()
    hooks = table.get("hooks", "")
    if not isinstance(hooks, str):
        raise _mistake(file, "code.hooks", "the name of a module")
    folders = _texts(table, "python_path", ["."], file)
    return Code(
        tuple(_path(folder, file) for folder in folders),
        tuple(_texts(table, "imports", [], file)),
        hooks,
        environment | _variables_of_workers(),
    )


def _from_variables() -> dict[str, str | list[str]]:
    """Return the keys of the table that environment variables set."""
    found: dict[str, str | list[str]] = {}
    for name, value in os.environ.items():
        key = name.removeprefix(_VARIABLES).lower()
        if not name.startswith(_VARIABLES) or name.startswith(_OF_WORKERS):
            continue
        if key not in _SETTABLE:
            known = [_VARIABLES + key.upper() for key in _SETTABLE]
            raise OptionsError(f"{name}: unknown variable{arguments.near(name, known)}")
        parts = [part.strip() for part in value.split(",") if part.strip()]
        found[key] = parts if key in _LISTS else value
    return found


def _variables_of_workers() -> dict[str, str]:
    return {
        name.removeprefix(_OF_WORKERS): value
        for name, value in os.environ.items()
        if name.startswith(_OF_WORKERS)
    }


def _texts(table: dict[str, Any], key: str, default: list[str], file: Path) -> list[str]:
    value = table.get(key, default)
    if not isinstance(value, list) or not _are_texts(value):
        raise _mistake(file, f"code.{key}", "a list of texts")
    return value


def _are_texts(given: Any) -> bool:
    return all(isinstance(value, str) for value in given)


def _path(given: str, file: Path) -> str:
    """Return a path of the configuration; a relative one starts at the file's folder."""
    return paths_with_links.below(str(file.absolute().parent), arguments.at_home(given))


def _mistake(file: Path, key: str, what: str) -> OptionsError:
    return OptionsError(f"the configuration {file}: {key} is not {what}; see `gigqd check`")
