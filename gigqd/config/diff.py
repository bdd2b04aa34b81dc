"""The keys in which two configurations differ, by what a reload does with them."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from gigqd.config.schema import TABLES, Effect

if TYPE_CHECKING:
    from collections.abc import Iterator

    from gigqd.config.schema import Config, Table


class Changes(NamedTuple):
    """Dotted names of the keys that differ, by what a reload does with them."""

    live: tuple[str, ...] = ()
    recycle: tuple[str, ...] = ()
    restart: tuple[str, ...] = ()

    def __bool__(self) -> bool:
        return any(self._asdict().values())


def compare(old: Config, new: Config) -> Changes:
    """Return the keys that differ; a pool added or removed is named as a whole."""
    found = [*_differences(old, new)]
    return Changes(*(tuple(n for n, effect in found if effect is wanted) for wanted in Effect))


def without_restart(old: Config, new: Config) -> Config:
    """Return the new configuration with the old values of keys that only a restart changes."""
    return new.replace(**{name: _kept(getattr(old, name), getattr(new, name)) for name in TABLES})


def _kept(old: Table, new: Table) -> Table:
    restart = [name for name, item in new.KEYS.items() if item.effect is Effect.RESTART]
    return new.replace(**{name: getattr(old, name) for name in restart})


def _differences(old: Config, new: Config) -> Iterator[tuple[str, Effect]]:
    for name in TABLES:
        yield from _changed_keys(name, getattr(old, name), getattr(new, name))
    before = {pool.name: pool for pool in old.pools}
    after = {pool.name: pool for pool in new.pools}
    for name in before | after:
        if name in before and name in after:
            yield from _changed_keys(f"pools.{name}", before[name], after[name])
        else:
            yield f"pools.{name}", Effect.LIVE


def _changed_keys(prefix: str, old: Table, new: Table) -> Iterator[tuple[str, Effect]]:
    for name, item in new.KEYS.items():
        if getattr(old, name) != getattr(new, name):
            yield f"{prefix}.{name}", item.effect
