"""Reload of the configuration: all of it is applied, or none of it."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, NamedTuple

from gigqd import exit_codes, logs
from gigqd.config import warnings
from gigqd.errors import ConfigError
from gigqd.supervisor.config_reading import ConfigReader
from gigqd.supervisor.pools import limits_of, new_names

if TYPE_CHECKING:
    from collections.abc import Callable

    from gigqd.config import Changes, Config
    from gigqd.host.systemd import Notifier
    from gigqd.supervisor.children import Children
    from gigqd.supervisor.daemon_status import DaemonStatus
    from gigqd.supervisor.pools import Pools
    from gigqd.supervisor.slots import Slot

    Reply = Callable[[dict[str, Any]], None]

log = logs.get_logger(__name__)

_CANARY_TRIES = 2


class Canary(NamedTuple):
    """A new configuration, its changes, the slot of its canary, and the replies to send."""

    config: Config
    changes: Changes
    slot: Slot
    replies: list[Reply]


class Reloads:
    """Applies a configuration once a worker has booted with it, one at a time.

    1. Reads and validates the file, and refuses one with mistakes. A file that is being rewritten
       in place is read again.
    2. Forks one more worker, the canary, with the new configuration and the code on disk.
    3. When the canary has booted, applies the configuration: fits the pools to it, and replaces
       every child after its current job. When the canary cannot boot, refuses it.
    4. Sends the replies. A request that comes while a canary boots is served by the next reload,
       and one that comes before the pools are open, once they are.
    """

    def __init__(
        self, daemon_status: DaemonStatus, children: Children, pools: Pools, notifier: Notifier
    ) -> None:
        self._status = daemon_status
        self._children = children
        self._pools = pools
        self._notifier = notifier
        self._reader = ConfigReader(daemon_status.config)
        self._asking: list[Reply] = []
        self._canary: Canary | None = None
        self._waiting: list[Reply] = []

    def ask(self, reply: Reply) -> None:
        """Begin a reload, or queue one after the current reload.

        Args:
            reply: called once with the answer to `gigqd reload`.
        """
        if self._status.stopping:
            reply({"ok": False, "error": "the daemon is stopping", "code": exit_codes.FAILED})
        elif self._is_busy or not self._pools.opened:
            self._waiting.append(reply)
        else:
            self._begin([reply])

    @property
    def at(self) -> float:
        """Return when to read again, in seconds of the monotonic clock; infinity for never."""
        return self._reader.at

    @property
    def _is_busy(self) -> bool:
        return self._canary is not None or self._reader.active

    def step(self) -> None:
        """Read the files again if due, check the canary, then serve queued requests."""
        if self._reader.active and self._status.stopping:
            self._reader.abandon()
            self._waiting += self._asking
        elif time.monotonic() >= self._reader.at:
            self._read()
        if self._canary is not None:
            self._check_canary(self._canary)
        self._status.reloading = self._is_busy
        if self._waiting and self._status.stopping:
            self._refuse(self._waiting_replies(), "the daemon is stopping", exit_codes.FAILED)
        elif self._waiting and not self._is_busy and self._pools.opened:
            self._begin(self._waiting_replies())

    def _check_canary(self, canary: Canary) -> None:
        if self._status.stopping:
            self._refuse(canary.replies, "the daemon is stopping", exit_codes.FAILED)
        elif self._children.is_up(canary.slot):
            self._apply(canary)
        elif canary.slot.failures >= _CANARY_TRIES:
            why = f"a new worker cannot boot: {canary.slot.why_down}"
            self._refuse(canary.replies, why, canary.slot.boot_code)
        else:
            return
        self._children.retire(canary.slot)
        self._canary = None

    def _waiting_replies(self) -> list[Reply]:
        replies, self._waiting = self._waiting, []
        return replies

    def _begin(self, replies: list[Reply]) -> None:
        self._notifier.reloading()
        self._asking = replies
        self._reader.begin()
        self._read()

    def _read(self) -> None:
        try:
            found = self._reader.read(self._status.config)
        except ConfigError as error:
            self._refuse(self._asking, str(error), error.exit_code)
            return
        if found is not None:
            self._start_canary(*found)

    def _start_canary(self, config: Config, changes: Changes) -> None:
        for warning in warnings(config):
            log.warning("config_warning", warning=warning)
        generation = self._status.generation + 1
        self._canary = Canary(config, changes, self._open_canary(config, generation), self._asking)

    def _open_canary(self, config: Config, generation: int) -> Slot:
        """Open one more slot, in the first pool that has workers."""
        pool = next(pool for pool in config.pools if pool.size)
        limits = limits_of(pool)
        # An earlier canary may still run a job.
        (name,) = new_names(f"{pool.name}/canary", 1, taken=self._children.slots)
        canary = self._children.add(name, pool.name, limits, (config, generation))
        canary.canary = True
        return canary

    def _apply(self, canary: Canary) -> None:
        """Apply the configuration. Without a changed key children are replaced for new code."""
        daemon_status = self._status
        daemon_status.config = canary.config
        daemon_status.generation += 1
        self._reader.note_applied()
        daemon_status.counters.reloads += 1
        logs.set_level(canary.config.log.level)
        self._children.use(canary.config, daemon_status.generation)
        self._children.retire(canary.slot)
        self._pools.replace_all()
        self._pools.fit(canary.config)
        taken = {
            "applied": list(canary.changes.live),
            "recycled": list(canary.changes.recycle),
            "restart": list(canary.changes.restart),
        }
        log.info("reload_applied", generation=daemon_status.generation, **taken)
        self._notifier.ready(daemon_status.summary_line)
        for reply in canary.replies:
            reply({"ok": True, "generation": daemon_status.generation, **taken})

    def _refuse(self, replies: list[Reply], error: str, code: int) -> None:
        """Refuse a configuration and reply with the reason; nothing changes."""
        log.error("reload_refused", error=error)
        self._notifier.ready(f"reload refused: {error.splitlines()[0]}")
        for reply in replies:
            reply({"ok": False, "error": error, "code": code})


def discard_reply(_answer: dict[str, Any]) -> None:
    """Discard the answer to a signal: the log has it."""
