"""What a reload would have to do to get from one configuration to another."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from gigqd.config import schema
from gigqd.config.keys import Effect, key_of
from gigqd.config.schema import Config


@dataclass(frozen=True, slots=True)
class Changes:
    """Dotted names of what differs, by what a reload does with it; false when nothing does."""

    live: tuple[str, ...] = ()
    recycle: tuple[str, ...] = ()
    restart: tuple[str, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.live or self.recycle or self.restart)


def compare(old: Config, new: Config) -> Changes:
    """The keys in which two configurations differ; a pool added or removed is named as a whole."""
    found = [*_tables(old, new), *_pools(old, new)]
    live, recycle, restart = (
        tuple(name for name, effect in found if effect is wanted)
        for wanted in (Effect.LIVE, Effect.RECYCLE, Effect.RESTART)
    )
    return Changes(live, recycle, restart)


Difference = tuple[str, Effect]


def _tables(old: Config, new: Config) -> Iterator[Difference]:
    for table in schema.TABLES:
        yield from _keys(table, getattr(old, table), getattr(new, table))


def _pools(old: Config, new: Config) -> Iterator[Difference]:
    before = {pool.name: pool for pool in old.pools}
    after = {pool.name: pool for pool in new.pools}
    for name in _in_order(before, after):
        if name in before and name in after:
            yield from _keys(f"pools.{name}", before[name], after[name])
        else:
            yield f"pools.{name}", Effect.LIVE


def _in_order(before: Mapping[str, Any], after: Mapping[str, Any]) -> list[str]:
    return list(dict.fromkeys([*before, *after]))


def _keys(prefix: str, old: object, new: object) -> Iterator[Difference]:
    for name, item in schema.keys(type(new)).items():
        if getattr(old, name) != getattr(new, name):
            yield f"{prefix}.{name}", key_of(item).effect
