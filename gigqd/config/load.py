"""Loading of the configuration from a file and the environment, or of all its mistakes."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gigq import configuration_file
from gigq.errors import UnsupportedStore
from gigq.model import paths_with_links
from gigq.model.database_address import KEYS_OF_ADDRESS, is_address
from gigqd.config.environment import PLACE, from_environment
from gigqd.config.environment_file import check_name, read_environment_file
from gigqd.config.parse import from_file, read_source
from gigqd.config.schema import TABLES, CodeConfig, Config, PoolConfig
from gigqd.config.validate import contradictions, exposed_to_root
from gigqd.errors import ConfigError, Problem

if TYPE_CHECKING:
    from collections.abc import Mapping

    from gigqd.config.parse import Keys, Settings, Source
    from gigqd.config.schema import Key, Table


_NO_PLACE = (
    "missing; with PostgreSQL it follows from the configuration file, and there is none: set it to "
    "a directory of this host, or name a file (--config)"
)


def load(path: Path | None, environ: Mapping[str, str]) -> Config:
    """Read the configuration: defaults, then the file, then the environment.

    Args:
        path: the file. None is $GIGQD_CONFIG, else ./gigq.toml, else /etc/gigq.toml, else no file.
        environ: the environment, whose variables override the file.

    Raises:
        ConfigError: the configuration has mistakes; `problems` lists all of them.
    """
    config, problems = _read(path, environ)
    if problems:
        raise ConfigError(sorted(problems, key=_place))
    return config


def identify(path: Path | None, environ: Mapping[str, str]) -> Config:
    """Return where a daemon is, even if the rest of its configuration is wrong.

    Args:
        path: as for `load`.
        environ: as for `load`.

    Returns:
        the configuration; only its source, `queue.database`, and of the daemon's table `name`
        and `runtime_dir` are to be relied on.

    Raises:
        ConfigError: the file cannot be parsed, or a key that decides the place is wrong.
    """
    config, problems = _read(path, environ)
    deciding = ["daemon.name", "daemon.runtime_dir"]
    if config.daemon.runtime_dir == _beside(config.place, config.daemon.name):
        deciding.append("queue.database")
    fatal = [problem for problem in problems if _dotted(problem.key) in deciding]
    if fatal:
        raise ConfigError(sorted(fatal, key=_place))
    return config


def config_path(environ: Mapping[str, str]) -> Path | None:
    """Return the file that is read when none is named; None when there is none."""
    file = configuration_file.search(environ).file
    return Path(file) if file else None


def _read(path: Path | None, environ: Mapping[str, str]) -> tuple[Config, list[Problem]]:
    path = path or config_path(environ)
    source = read_source(path) if path else None
    settings, problems = from_file(source) if source else ({}, [])
    pools = source.pool_names() if source else []
    overrides, more = from_environment(environ, pools)
    # With its links: after one has moved, a reload reads the file of the new release.
    file = Path(paths_with_links.absolute(str(path))) if path else None
    reader = _Reader(file, source, settings | overrides, [*problems, *more])
    config = reader.config(pools)
    for keys, message in contradictions(config):
        reader.report(keys, message)
    return config, [*reader.problems, *exposed_to_root(config)]


def _working_directory() -> Path:
    try:
        return Path.cwd()
    except FileNotFoundError:
        text = (
            "the working directory has been deleted; change to another, or name a file (--config)"
        )
        raise ConfigError([Problem(None, None, "", text)]) from None


def _place(problem: Problem) -> tuple[bool, str, int, str]:
    return (problem.line is None, problem.file or "", problem.line or 0, problem.key)


def _dotted(key: str) -> str:
    return key.removeprefix("GIGQD_").replace("__", ".").lower()


def _beside(file: Path, name: str) -> Path:
    """Return the default runtime directory: beside a file, with the names of both.

    It depends on nothing else: each account and each session finds the daemon in the same place.

    Args:
        file: the database, or with PostgreSQL the configuration.
        name: the daemon's name.
    """
    place = f"{os.path.realpath(file)}.gigqd"
    return Path(place if name == "default" else f"{place}-{name}")


class _Reader:
    """Makes the values of every table; a bad value becomes a problem, and the default is used."""

    def __init__(
        self, file: Path | None, source: Source | None, settings: Settings, problems: list[Problem]
    ) -> None:
        self.problems = problems
        self._file = file
        self._source = source
        self._settings = settings
        self._base = file.parent if file else _working_directory()

    def config(self, declared_pools: list[str]) -> Config:
        values = {name: self._values((name,), cls) for name, cls in TABLES.items()}
        values["code"]["environment"] = self._environment(values["code"]["environment_file"])
        values["queue"]["database"] = self._database(values["queue"])
        daemon, database = values["daemon"], values["queue"]["database"]
        daemon["runtime_dir"] = daemon["runtime_dir"] or self._place(database, daemon["name"])
        tables: dict[str, Any] = {name: cls(**values[name]) for name, cls in TABLES.items()}
        return Config(source=self._file, pools=self._pools(declared_pools), **tables)

    def _database(self, queue: dict[str, Any]) -> str:
        """Return the database, with the options that an address of PostgreSQL has beside it."""
        database: str = queue["database"]
        if is_address(database):
            from gigq.store.postgres.address import with_keys

            try:
                return with_keys(database, queue)
            except UnsupportedStore as error:
                self.report(("queue", getattr(error, "key", "database")), str(error))
        else:
            for key in (key for key in KEYS_OF_ADDRESS if queue[key]):
                self.report(("queue", key), "is for a PostgreSQL database, and this one is a file")
        return database

    def _place(self, database: str, name: str) -> Path:
        if is_address(database) and self._file is None:
            self.report(("daemon", "runtime_dir"), _NO_PLACE)
        return _beside(Path(database) if not is_address(database) else self._file or Path(), name)

    def report(self, keys: Keys, message: str) -> None:
        """Add a problem with a key, in the place where it is given."""
        given = self._settings.get(keys)
        if given and given.variable:
            problem = Problem(PLACE, None, given.variable, message)
        elif self._source:
            problem = self._source.problem(keys, message)
        else:
            problem = Problem(None, None, ".".join(keys), message)
        self.problems.append(problem)

    def _pools(self, declared: list[str]) -> tuple[PoolConfig, ...]:
        named = [keys[1] for keys in self._settings if keys[0] == "pools"]
        names = list(dict.fromkeys([*declared, *named])) or ["default"]
        return tuple(
            PoolConfig(name, **self._values(("pools", name), PoolConfig)) for name in names
        )

    def _values(self, table: Keys, cls: type[Table]) -> dict[str, Any]:
        values = {**cls.defaults(self._base)}
        for name, key in cls.KEYS.items():
            keys = (*table, name)
            if keys in self._settings:
                self._read(keys, key, values)
            elif key.required:
                self.report(keys, key.required + self._where_was_looked())
        return values

    def _read(self, keys: Keys, key: Key, values: dict[str, Any]) -> None:
        try:
            if key.is_table:
                check_name(keys[-1])
            values[keys[-1]] = key.type.parse(self._settings[keys].raw, self._base)
        except ValueError as error:
            self.report(keys, str(error))

    def _environment(self, file: Path | None) -> dict[str, str]:
        """Return the variables of the environment file and those of `[code.environment]`."""
        variables, problems = read_environment_file(file) if file else ({}, [])
        for problem in problems:
            self.report(("code", "environment_file"), str(problem))
        for keys in self._settings:
            if keys[:-1] == ("code", "environment"):
                self._read(keys, CodeConfig.KEYS["environment"], variables)
        return dict(sorted(variables.items()))

    def _where_was_looked(self) -> str:
        if self._source:
            return ""
        looked = configuration_file.search(os.environ).passed_over
        return f"; no configuration was found: {', '.join(looked)}"
