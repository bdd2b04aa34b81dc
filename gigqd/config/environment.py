"""Environment variables that override the file: GIGQD_<TABLE>__<KEY>."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gigq.nearest import nearest
from gigq.terminal import printable
from gigqd.config.mistakes import hint, suggest
from gigqd.config.parse import POOL_NAME, Given, Keys, Settings
from gigqd.config.schema import DOTTED, TABLES, PoolConfig
from gigqd.errors import Problem

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

PREFIX = "GIGQD_"
PLACE = "environment"

# set by the daemon for its own children, or read before a file is chosen
_OURS = ("GIGQD_RUN", "GIGQD_WORKER")
_NOT_KEYS = ("GIGQD_CONFIG",)

_SEPARATOR = "__"


def from_environment(
    environ: Mapping[str, str], pools: Sequence[str]
) -> tuple[Settings, list[Problem]]:
    """Return the keys that environment variables set, and the variables that set none.

    Args:
        environ: the environment.
        pools: names of the pools that the file declares. A variable may change them; only
            when there are none may it name a new one.
    """
    settings: Settings = {}
    problems: list[Problem] = []
    for name in sorted(environ):
        if not _may_be_setting(name) or _SEPARATOR not in name:
            continue
        try:
            keys = _keys(name, pools)
            table = PoolConfig if keys[0] == "pools" else TABLES[keys[0]]
            key = table.KEYS[keys[2 if keys[0] == "pools" else 1]]
            settings[keys] = Given(key.type.from_text(environ[name]), name)
        except ValueError as error:
            problems.append(Problem(PLACE, None, name, str(error)))
    return settings, problems


def ignored(environ: Mapping[str, str]) -> tuple[str, ...]:
    """Return warnings about variables with the prefix of settings but without `__`.

    Kubernetes sets GIGQD_PORT and the like beside a service with the name gigqd.

    Returns:
        One sentence for each that was probably meant for a setting, and one for all others.
    """
    odd = [n for n in sorted(environ) if _may_be_setting(n) and _SEPARATOR not in n]
    meant = {variable.replace("_", ""): variable for variable in _VARIABLES}
    typos = {name: meant[name.replace("_", "")] for name in odd if name.replace("_", "") in meant}
    found = [f"{name} is ignored; did you mean {variable}?" for name, variable in typos.items()]
    if others := ", ".join(printable(name) for name in odd if name not in typos):
        found.append(f"{others}: ignored, since names of settings have two underscores")
    return tuple(found)


def variable_name(keys: Sequence[str]) -> str:
    """Return the variable that overrides a key: ("queue", "database") is GIGQD_QUEUE__DATABASE."""
    return PREFIX + _SEPARATOR.join(keys).upper().replace("-", "_")


_VARIABLES: dict[str, Keys] = {
    variable_name(keys := tuple(dotted.split("."))): keys
    for dotted in DOTTED
    if dotted != "code.environment"
}


def _may_be_setting(name: str) -> bool:
    """Return True for a variable with the prefix that is not one of gigqd's own."""
    return name.startswith(PREFIX) and not name.startswith(_OURS) and name not in _NOT_KEYS


def _keys(name: str, pools: Sequence[str]) -> Keys:
    if keys := _VARIABLES.get(name.upper()):
        return keys
    table, *names = name.removeprefix(PREFIX).split(_SEPARATOR)
    if table.lower() == "pools" and len(names) == 2:
        return ("pools", _pool(names[0], pools), _pool_key(names[0], names[1].lower()))
    if table.lower() == "code" and len(names) == 2 and names[0].lower() == "environment":
        return ("code", "environment", names[1])
    raise ValueError(f"unknown variable{suggest(name, _VARIABLES)}")


def _pool(name: str, pools: Sequence[str]) -> str:
    by_variable = {variable_name([pool]): pool for pool in pools}
    if pool := by_variable.get(variable_name([name])):
        return pool
    if pools:
        raise ValueError(f"there is no such pool{suggest(name, pools)}")
    if not POOL_NAME.fullmatch(name):
        raise ValueError("a pool's name is letters and digits joined by _")
    return name.lower()


def _pool_key(pool: str, key: str) -> str:
    if key in PoolConfig.KEYS:
        return key
    near = PoolConfig.renamed(key) or nearest(key, PoolConfig.KEYS)
    raise ValueError(f"unknown variable{hint(near and variable_name(('pools', pool, near)))}")
