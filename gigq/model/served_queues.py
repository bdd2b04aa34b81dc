"""The queues that a worker serves: all, some by name, or all but some."""

from __future__ import annotations

import json
from functools import lru_cache
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable

EVERY = "*"
NOT = "!"
MARKS = frozenset((EVERY, NOT))

_RULE = 'give names of queues, or "*", or "*" with one "!name" for each queue to leave out'


class ServedQueues(NamedTuple):
    """A set of queues.

    Attributes:
        names: the queues that are served, or the ones that are excluded.
        all_but: True when every queue except `names` is served.
    """

    names: frozenset[str] = frozenset()
    all_but: bool = True

    @property
    def is_everything(self) -> bool:
        """True when no queue is excluded."""
        return self.all_but and not self.names

    @property
    def serves_any(self) -> bool:
        """False for an empty set."""
        return self.all_but or bool(self.names)

    def serves(self, queue: Any) -> bool:
        """Return True when the set contains a queue; the name may be any value of a row."""
        return (queue in self.names) is not self.all_but

    def without(self, queues: Iterable[str]) -> ServedQueues:
        """Return this set without some queues; `"*"` among them is every queue."""
        excluded = frozenset(queues)
        if EVERY in excluded:
            return ServedQueues(all_but=False)
        if self.all_but:
            return ServedQueues(self.names | excluded)
        return ServedQueues(self.names - excluded, all_but=False)

    def patterns(self) -> list[str]:
        """Return the patterns of this set, in one order for equal sets."""
        if self.all_but:
            return [EVERY, *(NOT + name for name in sorted(self.names))]
        return sorted(self.names)


EVERYTHING = ServedQueues()


def parse(patterns: Iterable[str] | None) -> ServedQueues:
    """Return the set that patterns describe; None describes every queue, an empty list none."""
    return EVERYTHING if patterns is None else _parse(tuple(patterns))


def checked(patterns: Iterable[str] | None) -> tuple[str, ...] | None:
    """Return patterns as they were given.

    Raises:
        ValueError: they contradict each other, or describe no queue.
    """
    if patterns is None:
        return None
    if isinstance(patterns, str):
        raise ValueError(f"queues is the text {patterns!r}; give a list: [{patterns!r}]")
    listed = tuple(patterns)
    _refuse_bad_items(listed)
    _refuse_contradictions(listed)
    return listed


def problem_of_name(name: str) -> str | None:
    """Return the reason why a job's queue cannot have this name, or None."""
    if name == EVERY or name.startswith(NOT):
        return (
            f"queue is {name!r}, which workers read as a pattern "
            '("*" is every queue, "!name" leaves one out); give another name'
        )
    return None


@lru_cache(maxsize=256)
def _parse(patterns: tuple[str, ...]) -> ServedQueues:
    excluded, names = _parts(patterns)
    if EVERY in patterns:
        return ServedQueues(excluded)
    return ServedQueues(names, all_but=False)


def _parts(patterns: tuple[str, ...]) -> tuple[frozenset[str], frozenset[str]]:
    """Return the names that are excluded, and the names that are included."""
    excluded = frozenset(item[1:] for item in patterns if item.startswith(NOT))
    names = frozenset(item for item in patterns if item != EVERY and not item.startswith(NOT))
    return excluded, names


def _refuse_bad_items(patterns: tuple[object, ...]) -> None:
    if not patterns:
        raise ValueError(f"an empty list serves no queue; {_RULE}")
    seen: set[str] = set()
    for item in patterns:
        if not isinstance(item, str):
            raise ValueError(f"{item!r} is not the name of a queue; {_RULE}")
        if item in {"", NOT, NOT + EVERY} or item.startswith(NOT + NOT):
            raise ValueError(f"{_quoted([item])} does not name a queue; {_RULE}")
        if item in seen:
            raise ValueError(f"{_quoted([item])} is listed twice")
        seen.add(item)


def _refuse_contradictions(patterns: tuple[str, ...]) -> None:
    excluded, names = _parts(patterns)
    if excluded and EVERY not in patterns:
        left_out = _quoted(NOT + name for name in excluded)
        raise ValueError(f'{left_out} only leaves out; add "*", which is every queue')
    if names and EVERY in patterns:
        raise ValueError(
            f'"*" is every queue, so {_quoted(names)} adds nothing; '
            'give "*" alone, the names alone, or "!name" for a queue to leave out'
        )


def _quoted(names: Iterable[str]) -> str:
    return ", ".join(json.dumps(name, ensure_ascii=False) for name in sorted(names))
