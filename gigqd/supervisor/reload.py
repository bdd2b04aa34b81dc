"""Taking a new configuration: all of it, or none of it."""

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
    from gigqd.supervisor.pools import Pools
    from gigqd.supervisor.slots import Slot
    from gigqd.supervisor.status import DaemonStatus

    Reply = Callable[[dict[str, Any]], None]

log = logs.get_logger(__name__)

_CANARY_TRIES = 2


class Canary(NamedTuple):
    """A configuration on trial: what it changes, the canary that tries it, and who waits."""

    config: Config
    changes: Changes
    slot: Slot
    replies: list[Reply]


class Reloads:
    """Takes a configuration once a worker has come up with it, one at a time.

    1. Reads and checks the file; a file that is wrong is refused. One that is caught while it is
       rewritten in place is read again.
    2. Forks one worker more, the canary, with the new configuration and the code on disk.
    3. When the canary is up, takes the configuration: fits the pools to it, and replaces every
       child after its current job. When the canary cannot boot, refuses.
    4. Answers those who asked. Whoever asks while a canary boots is served by the reload after,
       and whoever asks before the pools are open, once they are.
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
        """Begin a reload, or have one follow that which is under way.

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
        """When the next turn is due, in seconds of the monotonic clock; infinity for never."""
        return self._reader.at

    @property
    def _is_busy(self) -> bool:
        return self._canary is not None or self._reader.active

    def step(self) -> None:
        """Read a file again, see what has become of the canary, then serve those who wait."""
        if self._reader.active and self._status.stopping:
            self._reader.abandon()
            self._waiting += self._asking
        elif time.monotonic() >= self._reader.at:
            self._read()
        if self._canary is not None:
            self._judge(self._canary)
        self._status.reloading = self._is_busy
        if self._waiting and self._status.stopping:
            self._refuse(self._take_waiting(), "the daemon is stopping", exit_codes.FAILED)
        elif self._waiting and not self._is_busy and self._pools.opened:
            self._begin(self._take_waiting())

    def _judge(self, canary: Canary) -> None:
        if self._status.stopping:
            self._refuse(canary.replies, "the daemon is stopping", exit_codes.FAILED)
        elif self._children.is_up(canary.slot):
            self._take(canary)
        elif canary.slot.failures >= _CANARY_TRIES:
            why = f"a new worker cannot boot: {canary.slot.why_down}"
            self._refuse(canary.replies, why, canary.slot.boot_code)
        else:
            return
        self._children.retire(canary.slot)
        self._canary = None

    def _take_waiting(self) -> list[Reply]:
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
            self._try(*found)

    def _try(self, config: Config, changes: Changes) -> None:
        for warning in warnings(config):
            log.warning("config_warning", warning=warning)
        generation = self._status.generation + 1
        self._canary = Canary(config, changes, self._open_canary(config, generation), self._asking)

    def _open_canary(self, config: Config, generation: int) -> Slot:
        """One slot more, in the first pool that is to have workers."""
        pool = next(pool for pool in config.pools if pool.size)
        limits = limits_of(pool)
        # An earlier canary may still be running a job, or be on its way out.
        (name,) = new_names(f"{pool.name}/canary", 1, taken=self._children.slots)
        canary = self._children.add(name, pool.name, limits, (config, generation))
        canary.canary = True
        return canary

    def _take(self, canary: Canary) -> None:
        """Use the configuration. Fresh children are the point even when the file is the same."""
        daemon_status = self._status
        daemon_status.config = canary.config
        daemon_status.generation += 1
        self._reader.taken()
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
        """Leave everything as it was, and say why."""
        log.error("reload_refused", error=error)
        self._notifier.ready(f"reload refused: {error.splitlines()[0]}")
        for reply in replies:
            reply({"ok": False, "error": error, "code": code})


def discard_reply(_answer: dict[str, Any]) -> None:
    """Take the answer to a signal, which waits for none: the log has it."""
