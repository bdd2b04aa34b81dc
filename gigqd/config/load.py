"""From a file and an environment to a checked configuration, or to everything wrong with it."""

import os
from collections.abc import Mapping
from dataclasses import Field
from pathlib import Path
from typing import Any

from gigq import configuration_file, given_paths
from gigqd.config import schema
from gigqd.config.checks import cross_check
from gigqd.config.envfile import check_name, check_value, read_environment_file
from gigqd.config.keys import key_of
from gigqd.config.kinds import Kind
from gigqd.config.pool import PoolConfig
from gigqd.config.runtime import default_runtime_dir
from gigqd.config.schema import Config, DaemonConfig
from gigqd.config.settings import Keys, Settings, from_file, pool_names
from gigqd.config.source import Source, read_source
from gigqd.config.variables import from_environment
from gigqd.errors import ConfigError, Problem


def load(path: Path | None, environ: Mapping[str, str]) -> Config:
    """Read the configuration: defaults, then the file, then the environment.

    Args:
        path: the file. None is $GIGQD_CONFIG, else ./gigq.toml, else /etc/gigq.toml, else no file.
        environ: the environment, whose variables override the file.

    Raises:
        ConfigError: anything is wrong; `problems` has all of it.
    """
    config, problems = _read(path, environ)
    if problems:
        raise ConfigError(sorted(problems, key=_place))
    return config


def locate(path: Path | None, environ: Mapping[str, str]) -> DaemonConfig:
    """Return the daemon's table, of which only `name` and `runtime_dir` are to be relied on.

    Args:
        path: as for `load`.
        environ: as for `load`.

    Raises:
        ConfigError: as for `identify`.
    """
    return identify(path, environ).daemon


def identify(path: Path | None, environ: Mapping[str, str]) -> Config:
    """Return where a daemon is, even if the rest of its configuration is wrong.

    Args:
        path: as for `load`.
        environ: as for `load`.

    Returns:
        the configuration; only its source, `queue.database`, and of the daemon's table `name`
        and `runtime_dir` are to be relied on.

    Raises:
        ConfigError: the file cannot be parsed, or what decides the place is wrong.
    """
    config, problems = _read(path, environ)
    deciding = ["daemon.name", "daemon.runtime_dir"]
    if config.daemon.runtime_dir == default_runtime_dir(
        {"daemon": {"name": config.daemon.name}, "queue": {"database": config.queue.database}}
    ):
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
    pools = pool_names(source)
    overrides, more = from_environment(environ, pools)
    builder = _Builder(path, source, settings | overrides, [*problems, *more])
    config = builder.config(pools)
    return config, [*builder.problems, *cross_check(config, source, builder.settings)]


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


class _Builder:
    """Makes the values of every table; a bad one becomes a problem and its default goes on."""

    def __init__(
        self,
        path: Path | None,
        source: Source | None,
        settings: Settings,
        problems: list[Problem],
    ) -> None:
        self.settings = settings
        self.problems = problems
        self._source = source
        # With its links: after one has moved, a reload reads the file of the new release.
        self._path = Path(given_paths.absolute(str(path))) if path else None
        self._base = self._path.parent if self._path else _working_directory()

    def config(self, declared_pools: list[str]) -> Config:
        values = {name: self._values((name,), cls) for name, cls in schema.TABLES.items()}
        self._complete_environment(values["code"])
        if values["daemon"]["runtime_dir"] is None:
            values["daemon"]["runtime_dir"] = default_runtime_dir(values)
        tables = {name: cls(**values[name]) for name, cls in schema.TABLES.items()}
        return Config(source=self._path, pools=self._pools(declared_pools), **tables)

    def _pools(self, declared: list[str]) -> tuple[PoolConfig, ...]:
        named = [keys[1] for keys in self.settings if keys[0] == "pools"]
        names = list(dict.fromkeys([*declared, *named])) or ["default"]
        return tuple(
            PoolConfig(name, **self._values(("pools", name), PoolConfig)) for name in names
        )

    def _values(self, table: Keys, cls: type) -> dict[str, Any]:
        values = {}
        for name, item in schema.keys(cls).items():
            if key_of(item).each:
                values[name] = self._free_table((*table, name), key_of(item).kind)
            else:
                values[name] = self._value((*table, name), item)
        return values

    def _value(self, keys: Keys, item: Field[Any]) -> Any:
        key = key_of(item)
        given = self.settings.get(keys)
        if given is not None:
            try:
                return key.kind.parse(given.raw, self._base)
            except ValueError as error:
                self.problems.append(given.problem(str(error)))
        elif key.required:
            self.problems.append(self._missing(keys, key.required))
        if key.fallback is not None:
            return key.kind.parse(key.fallback, self._base)
        return item.default

    def _free_table(self, table: Keys, kind: Kind) -> Mapping[str, str]:
        values = {}
        for keys, given in self.settings.items():
            if keys[:-1] == table:
                try:
                    check_name(keys[-1])
                    values[keys[-1]] = kind.parse(given.raw, self._base)
                    check_value(values[keys[-1]])
                except ValueError as error:
                    self.problems.append(given.problem(str(error)))
        return values

    def _complete_environment(self, code: dict[str, Any]) -> None:
        if code["environment_file"] is not None:
            variables, problems = read_environment_file(code["environment_file"])
            code["environment"] = variables | code["environment"]
            given = self.settings[("code", "environment_file")]
            self.problems += [given.problem(str(problem)) for problem in problems]
        code["environment"] = dict(sorted(code["environment"].items()))

    def _missing(self, keys: Keys, message: str) -> Problem:
        if self._source:
            return self._source.problem(keys, message)
        looked = configuration_file.search(os.environ).passed_over
        found = f"; no configuration was found: {', '.join(looked)}"
        return Problem(None, None, ".".join(keys), message + found)
