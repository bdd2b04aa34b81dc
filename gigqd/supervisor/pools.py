"""The pools: opens and closes slots until they are those of the configuration."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gigq.model.cause import Cause
from gigqd.ipc.scoreboard import Activity, Report
from gigqd.supervisor.slots import RECORDER, Limits, Phase

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Sequence

    from gigqd.config import Config, PoolConfig
    from gigqd.supervisor.children import Children
    from gigqd.supervisor.slots import Slot

CANNOT_BOOT_AFTER = 3
_RECORDER_HANGS_AFTER = 3.0  # at the earliest: it shows life once a second
_RECORDER_LIMITS = Limits(boot=30.0, grace=0.0, record=float("inf"))
_NUMBERS = range(100_000)


class Pools:
    """The worker slots of all pools, and the recorder's beside them.

    Attributes:
        opened: the pools have been opened; before, only the recorder works.
    """

    def __init__(self, children: Children) -> None:
        self.opened = False
        self._children = children

    def open_recorder(self) -> None:
        """Open the recorder's slot; no limit applies to its wait for the database."""
        self._children.add(RECORDER, "", _RECORDER_LIMITS)

    def replace_stuck(self, slot: Slot, config: Config) -> None:
        """Open another slot for one whose child cannot be killed."""
        slot.retired = True
        if self.opened and slot.name != RECORDER:
            self.fit(config)

    def retire_recorder(self) -> None:
        """Let the recorder settle the exit records that it has, and exit."""
        if recorder := self._children.slots.get(RECORDER):
            self._children.retire(recorder)

    def end_recorder(self, now: float) -> None:
        """Kill a recorder that does not exit: the database is locked, or it has been stopped."""
        if recorder := self._children.slots.get(RECORDER):
            self._children.retire(recorder)
            self._children.kill(recorder, Cause.STOPPED, now)

    def workers(self) -> list[Slot]:
        """Return every worker slot, including those that are closing."""
        return [slot for slot in self._children.slots.values() if slot.name != RECORDER]

    def fit(self, config: Config) -> None:
        """Open the slots that the configuration has and close those that it has not."""
        self.opened = True
        for slot in slots_to_close(self._staying(), config, self.busy_since):
            self._children.retire(slot)
        for pool in config.pools:
            self._fit_pool(pool)
        if recorder := self._children.slots.get(RECORDER):
            patience = min(pool.hang_timeout for pool in config.pools)
            recorder.limits = _RECORDER_LIMITS._replace(hang=max(patience, _RECORDER_HANGS_AFTER))

    def _fit_pool(self, pool: PoolConfig) -> None:
        limits = limits_of(pool)
        self._children.restarts.resize(pool.name, pool.size)
        staying = [slot for slot in self._staying() if slot.pool == pool.name]
        for slot in staying:
            slot.limits = limits
        for name in new_names(pool.name, pool.size - len(staying), taken=self._children.slots):
            self._children.add(name, pool.name, limits)

    def _staying(self) -> list[Slot]:
        """Return the slots that count for the sizes of pools; a canary is none of any pool's."""
        return [slot for slot in self.workers() if not (slot.retired or slot.canary)]

    def replace_all(self) -> None:
        """Replace every child, each after its current job."""
        for slot in self._children.slots.values():
            self._children.replace(slot)

    def retire_workers(self) -> None:
        """Let every worker finish its job and exit, and close its slot."""
        for slot in self.workers():
            self._children.retire(slot)

    def busy(self) -> set[str]:
        """Return the names of the slots whose workers are running a job."""
        return {slot.name for slot in self.workers() if self.busy_since(slot)}

    def busy_since(self, slot: Slot) -> float:
        """Return when a slot's job began, by the monotonic clock; 0.0 when it is idle."""
        child = self._children.child_in(slot)
        last = child.cell.read() if child else Report()
        return last.since if last.activity in (Activity.BUSY, Activity.SETTLING) else 0.0

    def any_up(self) -> bool:
        """Return True when a worker has booted, or when no pool has workers."""
        return not self.workers() or any(map(self._children.is_up, self.workers()))

    def reason(self) -> str | None:
        """Return why the pools cannot do all their work; None when they can."""
        if slot := self.failing():
            return f"{slot.name} cannot boot: {slot.why_down}"
        stuck = next((slot for slot in self.workers() if slot.phase is Phase.STUCK), None)
        return f"{stuck.name} survives SIGKILL; its job waits for that" if stuck else None

    def failing(self) -> Slot | None:
        """Return the slot whose children fail to boot repeatedly, if any."""
        down = [slot for slot in self.workers() if not self._children.is_up(slot)]
        worst = max(down, key=lambda slot: slot.failures, default=None)
        return worst if worst and worst.failures >= CANNOT_BOOT_AFTER else None


def limits_of(pool: PoolConfig) -> Limits:
    """Return the time limits of a worker of this pool."""
    return Limits(pool.boot_timeout, pool.timeout_grace, pool.record_timeout, pool.hang_timeout)


def new_names(pool: str, count: int, *, taken: Collection[str]) -> list[str]:
    """Return names for a pool's new slots, with the lowest free numbers."""
    free = (name for number in _NUMBERS if (name := f"{pool}/{number}") not in taken)
    return [next(free) for _ in range(count)]


def slots_to_close(
    slots: Sequence[Slot], config: Config, busy_since: Callable[[Slot], float]
) -> list[Slot]:
    """Return the slots to close: those of removed pools, and the surplus of each pool.

    Args:
        slots: the slots that are open.
        config: the configuration.
        busy_since: when a slot's job began; 0.0 when it is idle. Idle slots go first, then
            those whose job is youngest.
    """
    sizes = {pool.name: pool.size for pool in config.pools}
    closing: list[Slot] = []
    for pool in {slot.pool for slot in slots}:
        members = [slot for slot in slots if slot.pool == pool]
        members.sort(key=lambda slot: busy_since(slot) or float("inf"), reverse=True)
        closing += members[: max(0, len(members) - sizes.get(pool, 0))]
    return closing
