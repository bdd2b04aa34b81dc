"""Taking a new configuration: all of it, or none of it."""

from __future__ import annotations

import os
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from gigqd import exits, logs
from gigqd.config import compare, load, schema, warnings
from gigqd.config.keys import Effect, key_of
from gigqd.errors import ConfigError
from gigqd.pools import limits_of, new_names

if TYPE_CHECKING:
    from collections.abc import Callable

    from gigqd.config import Changes, Config
    from gigqd.crew import Crew
    from gigqd.notify import Notifier
    from gigqd.pools import Pools
    from gigqd.report import Facts
    from gigqd.slots import Slot

    Reply = Callable[[dict[str, Any]], None]

log = logs.get_logger("gigqd.reload")

_CANARY_TRIES = 2


@dataclass(frozen=True, slots=True)
class Trial:
    """A configuration on trial: what it changes, the canary that tries it, and who waits."""

    config: Config
    changes: Changes
    slot: Slot
    replies: list[Reply]


class Reloads:
    """Takes a configuration once a worker has come up with it, one at a time.

    1. Reads and checks the file; a file that is wrong is refused at once.
    2. Forks one worker more, the canary, with the new configuration and the code on disk.
    3. When the canary is up, takes the configuration: fits the pools to it, and replaces every
       child after its current job. When the canary cannot boot, refuses.
    4. Answers those who asked. Whoever asks while a canary boots is served by the reload after,
       and whoever asks before the pools are open, once they are.
    """

    def __init__(self, facts: Facts, crew: Crew, pools: Pools, notifier: Notifier) -> None:
        self._facts = facts
        self._crew = crew
        self._pools = pools
        self._notifier = notifier
        self._trial: Trial | None = None
        self._waiting: list[Reply] = []

    def ask(self, reply: Reply) -> None:
        """Begin a reload, or have one follow that which is under way.

        Args:
            reply: called once with the answer to `gigqd reload`.
        """
        if self._facts.stopping:
            reply({"ok": False, "error": "the daemon is stopping", "code": exits.FAILED})
        elif self._trial is not None or not self._pools.opened:
            self._waiting.append(reply)
        else:
            self._begin([reply])

    def turn(self) -> None:
        """See what has become of the canary, then serve those who wait."""
        if self._trial is not None:
            self._judge(self._trial)
        self._facts.reloading = self._trial is not None
        if self._waiting and self._facts.stopping:
            self._refuse(self._take_waiting(), "the daemon is stopping", exits.FAILED)
        elif self._waiting and self._trial is None and self._pools.opened:
            self._begin(self._take_waiting())

    def _judge(self, trial: Trial) -> None:
        if self._facts.stopping:
            self._refuse(trial.replies, "the daemon is stopping", exits.FAILED)
        elif self._crew.is_up(trial.slot):
            self._take(trial)
        elif trial.slot.failures >= _CANARY_TRIES:
            why = f"a new worker cannot boot: {trial.slot.why_down}"
            self._refuse(trial.replies, why, trial.slot.boot_code)
        else:
            return
        self._crew.retire(trial.slot)
        self._trial = None

    def _take_waiting(self) -> list[Reply]:
        replies, self._waiting = self._waiting, []
        return replies

    def _begin(self, replies: list[Reply]) -> None:
        self._notifier.reloading()
        try:
            config, changes = read_again(self._facts.config)
        except ConfigError as error:
            self._refuse(replies, str(error), error.exit_code)
            return
        for warning in warnings(config):
            log.warning("config_warning", warning=warning)
        generation = self._facts.generation + 1
        self._trial = Trial(config, changes, self._open_canary(config, generation), replies)

    def _open_canary(self, config: Config, generation: int) -> Slot:
        """One slot more, in the first pool that is to have workers."""
        pool = next(pool for pool in config.pools if pool.size)
        limits = limits_of(pool)
        # An earlier canary may still be running a job, or be on its way out.
        (name,) = new_names(f"{pool.name}/canary", 1, taken=self._crew.slots)
        canary = self._crew.add(name, pool.name, limits, (config, generation))
        canary.canary = True
        return canary

    def _take(self, trial: Trial) -> None:
        """Use the configuration. Fresh children are the point even when the file is the same."""
        facts = self._facts
        facts.config = trial.config
        facts.generation += 1
        facts.counters.reloads += 1
        logs.set_level(trial.config.log.level)
        self._crew.use(trial.config, facts.generation)
        self._crew.retire(trial.slot)
        self._pools.replace_all()
        self._pools.fit(trial.config)
        taken = {
            "applied": list(trial.changes.live),
            "recycled": list(trial.changes.recycle),
            "restart": list(trial.changes.restart),
        }
        log.info("reload_applied", generation=facts.generation, **taken)
        self._notifier.ready(facts.headline)
        for reply in trial.replies:
            reply({"ok": True, "generation": facts.generation, **taken})

    def _refuse(self, replies: list[Reply], error: str, code: int) -> None:
        """Leave everything as it was, and say why."""
        log.error("reload_refused", error=error)
        self._notifier.ready(f"reload refused: {error.splitlines()[0]}")
        for reply in replies:
            reply({"ok": False, "error": error, "code": code})


def read_again(current: Config) -> tuple[Config, Changes]:
    """The configuration as it is on disk now, and what it changes.

    Keys that only a restart can change keep their current value; they are named in the changes.

    Raises:
        ConfigError: the file is refused; nothing has changed then.
    """
    wanted = load(current.source, os.environ)
    changes = compare(current, wanted)
    tables = {
        table: _keep_what_needs_a_restart(getattr(current, table), getattr(wanted, table))
        for table in schema.TABLES
    }
    return replace(wanted, **tables), changes


def _keep_what_needs_a_restart(current: Any, wanted: Any) -> Any:
    kept = {
        name: getattr(current, name)
        for name, item in schema.keys(type(wanted)).items()
        if key_of(item).effect is Effect.RESTART
    }
    return replace(wanted, **kept)
