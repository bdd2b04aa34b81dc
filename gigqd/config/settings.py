"""What was set, and where: the keys of a file and of environment variables, not yet read.

A layer holds only what somebody wrote. Defaults come last, in `load`.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from gigqd.config import schema
from gigqd.config.keys import POOL_NAME, key_of
from gigqd.config.kinds import hint, nearest, suggest, type_name
from gigqd.config.pool import PoolConfig
from gigqd.config.source import Source
from gigqd.errors import Problem

Keys = tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Given:
    """One value as somebody wrote it, and the place to name when it is wrong."""

    raw: object
    file: str
    line: int | None
    key: str

    def problem(self, message: str) -> Problem:
        """A problem with this value."""
        return Problem(self.file, self.line, self.key, message)


Settings = dict[Keys, Given]

DOTTED = [f"{table}.{key}" for table, cls in schema.TABLES.items() for key in schema.keys(cls)]
POOL_KEYS = list(schema.keys(PoolConfig))
TABLE_NAMES = [*schema.TABLES, "pools"]


def from_file(source: Source) -> tuple[Settings, list[Problem]]:
    """The keys that a file sets, and its unknown tables, unknown keys and misplaced values."""
    settings: Settings = {}
    problems: list[Problem] = []
    for found in _walk(source, source.document):
        if isinstance(found, Problem):
            problems.append(found)
        else:
            keys, raw = found
            line = source.problem(keys, "").line
            settings[keys] = Given(raw, source.name, line, ".".join(keys))
    return settings, problems


def pool_names(source: Source | None) -> list[str]:
    """The names of the pools that a file declares, also of those that set no key."""
    pools = source.document.get("pools") if source else None
    if not isinstance(pools, dict):
        return []
    return [name for name, pool in pools.items() if isinstance(pool, dict)]


Found = Problem | tuple[Keys, object]


def _walk(source: Source, document: Mapping[str, Any]) -> Iterator[Found]:
    for table, content in document.items():
        if table not in TABLE_NAMES:
            yield source.problem((table,), _unknown_table(table, content))
        elif not isinstance(content, dict):
            yield source.problem((table,), f"must be a table, not {type_name(content)}")
        elif table == "pools":
            yield from _walk_pools(source, content)
        else:
            yield from _walk_table(source, (table,), content, schema.TABLES[table])


def _walk_pools(source: Source, pools: Mapping[str, Any]) -> Iterator[Found]:
    for name, content in pools.items():
        keys = ("pools", name)
        if not isinstance(content, dict):
            remedy = "; write it in [pools.default]" if name in POOL_KEYS else ""
            yield source.problem(keys, f"must be a table, not {type_name(content)}{remedy}")
            continue
        if not POOL_NAME.fullmatch(name):
            yield source.problem(keys, "a pool's name is letters and digits joined by - or _")
        yield from _walk_table(source, keys, content, PoolConfig)


def _walk_table(
    source: Source, table: Keys, content: Mapping[str, Any], cls: type
) -> Iterator[Found]:
    known = schema.keys(cls)
    for name, raw in content.items():
        keys = (*table, name)
        if name not in known:
            yield source.problem(keys, f"unknown key{_nearest_key(name, list(known))}")
        elif not key_of(known[name]).each:
            yield keys, raw
        elif isinstance(raw, dict):
            yield from (((*keys, variable), value) for variable, value in raw.items())
        else:
            yield source.problem(keys, f"must be a table, not {type_name(raw)}")


def _unknown_table(name: str, content: object) -> str:
    if isinstance(content, dict):
        return f"unknown table{suggest(name, TABLE_NAMES)}"
    return f"unknown key outside any table{_nearest_key(name, [])}"


def _nearest_key(name: str, siblings: list[str]) -> str:
    """A hint at a sibling that is near, else at the same key of another table."""
    near = suggest(name, siblings)
    if near:
        return near
    everywhere = {dotted.split(".")[1]: dotted for dotted in DOTTED}
    everywhere |= {key: f"pools.<name>.{key}" for key in POOL_KEYS}
    return hint(everywhere.get(nearest(name, everywhere) or ""))
