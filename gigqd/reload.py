"""Taking a new configuration: all of it, or none of it."""

from __future__ import annotations

import os
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from gigqd import logs
from gigqd.config import compare, load, schema
from gigqd.config.keys import Effect, key_of
from gigqd.errors import ConfigError

if TYPE_CHECKING:
    from gigqd.config import Changes, Config
    from gigqd.crew import Crew
    from gigqd.pools import Pools
    from gigqd.report import Facts

log = logs.get_logger("gigqd.reload")


def reload(facts: Facts, crew: Crew, pools: Pools) -> dict[str, Any]:
    """Take the configuration as it is on disk, or refuse it and leave everything as it was.

    Returns:
        The answer to `gigqd reload`; when refused, with a note for `systemctl status`.
    """
    try:
        config, changes = read_again(facts.config)
    except ConfigError as error:
        problems = [str(problem) for problem in error.problems]
        log.error("reload_refused", problems=problems)
        note = f"reload refused: {problems[0]}"
        return {"ok": False, "error": str(error), "code": error.exit_code, "note": note}
    _take(config, facts, crew, pools)
    taken = {
        "applied": list(changes.live),
        "recycled": list(changes.recycle),
        "restart": list(changes.restart),
    }
    log.info("reload_applied", generation=facts.generation, **taken)
    return {"ok": True, "generation": facts.generation, **taken}


def _take(config: Config, facts: Facts, crew: Crew, pools: Pools) -> None:
    """Use a configuration: fit the pools to it, and replace every child after its job.

    Fresh children are the point of a reload even when the file is the same: they import the
    code that is on disk now.
    """
    facts.config = config
    facts.generation += 1
    facts.counters.reloads += 1
    logs.set_level(config.log.level)
    crew.use(config, facts.generation)
    pools.replace_all()
    if pools.opened:
        pools.fit(config)


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
