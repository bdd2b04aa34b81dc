"""Environment variables that override the file: GIGQD_<TABLE>__<KEY>."""

from collections.abc import Mapping, Sequence

from gigqd.config import schema
from gigqd.config.keys import POOL_NAME, key_of
from gigqd.config.kinds import Kind, hint, nearest, suggest
from gigqd.config.pool import PoolConfig
from gigqd.config.settings import DOTTED, POOL_KEYS, Given, Keys, Settings
from gigqd.errors import Problem
from gigqd.text import printable

PREFIX = "GIGQD_"
PLACE = "environment"

# set by the daemon for its own children, or read before a file is chosen
_OURS = ("GIGQD_RUN", "GIGQD_WORKER")
_NOT_KEYS = ("GIGQD_CONFIG",)

_SEPARATOR = "__"
_SETTABLE = [dotted for dotted in DOTTED if dotted != "code.environment"]


def from_environment(
    environ: Mapping[str, str], pools: Sequence[str]
) -> tuple[Settings, list[Problem]]:
    """The keys that environment variables set, and the variables that set none.

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
            keys = _keys(name.removeprefix(PREFIX).split(_SEPARATOR), pools)
            raw = _kind(keys).from_text(environ[name])
            settings[keys] = Given(raw, PLACE, None, name)
        except ValueError as error:
            problems.append(Problem(PLACE, None, name, str(error)))
    return settings, problems


def ignored(environ: Mapping[str, str]) -> tuple[str, ...]:
    """List the variables with the prefix of settings that can be none: they have no `__`.

    Kubernetes sets GIGQD_PORT and the like beside a service with the name gigqd.

    Returns:
        One sentence for each that was probably meant for a setting, and one for all others.
    """
    odd = [n for n in sorted(environ) if _may_be_setting(n) and _SEPARATOR not in n]
    meant = {variable_name(key.split(".")).replace("_", ""): key for key in _SETTABLE}
    typos = {name: meant[name.replace("_", "")] for name in odd if name.replace("_", "") in meant}
    others = ", ".join(printable(name) for name in odd if name not in typos)
    return (
        *(
            f"{name} is ignored; did you mean {variable_name(key.split('.'))}?"
            for name, key in typos.items()
        ),
        *([f"{others}: ignored, since names of settings have two underscores"] if others else []),
    )


def variable_name(keys: Sequence[str]) -> str:
    """The variable that overrides a key: ("queue", "database") is GIGQD_QUEUE__DATABASE."""
    return PREFIX + "__".join(keys).upper().replace("-", "_")


def _may_be_setting(name: str) -> bool:
    """Return whether a variable has the prefix and is not one of gigqd's own."""
    return name.startswith(PREFIX) and not name.startswith(_OURS) and name not in _NOT_KEYS


def _kind(keys: Keys) -> Kind:
    cls = PoolConfig if keys[0] == "pools" else schema.TABLES[keys[0]]
    return key_of(schema.keys(cls)[keys[2] if keys[0] == "pools" else keys[1]]).kind


def _keys(parts: Sequence[str], pools: Sequence[str]) -> Keys:
    table = parts[0].lower()
    if table == "pools" and len(parts) == 3:
        return ("pools", _pool(parts[1], pools), _pool_key(parts[1], parts[2].lower()))
    if table == "code" and len(parts) == 3 and parts[1].lower() == "environment":
        return ("code", "environment", parts[2])
    keys = (table, "__".join(parts[1:]).lower())
    if ".".join(keys) not in _SETTABLE:
        near = nearest(variable_name(keys), [variable_name(key.split(".")) for key in _SETTABLE])
        raise ValueError(f"unknown variable{hint(near)}")
    return keys


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
    if key in POOL_KEYS:
        return key
    near = nearest(key, POOL_KEYS)
    raise ValueError(f"unknown variable{hint(near and variable_name(('pools', pool, near)))}")
