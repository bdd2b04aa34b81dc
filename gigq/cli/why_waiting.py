"""The reason, in one line, why a pending job does not run yet."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Any, NamedTuple

from gigq.cli.formatting import local_time
from gigq.model import clock, served_queues
from gigq.model.job_status import FINISHED
from gigq.model.served_queues import ServedQueues, parse
from gigq.model.units import format_duration
from gigq.store.sqlite.processes import announcements, lock_holders, wakeup_groups
from gigq.store.sqlite.processes.run_locks import companion_path
from gigq.store.verbs import jobs, pauses, unknown_functions
from gigq.terminal import shorten

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from gigq.cli.open_queue import ReadQueue
    from gigq.store.named_database import Place

    Row = Mapping[str, Any]

_OVER = {status.value for status in FINISHED}
_NOT_AT_WORK = {"paused", "degraded", "starting", "stopping"}
_POLICIES = {
    "fail": "if that one ends without success, this job fails too",
    "run": "this job runs however that one ends",
    "wait": "if that one ends without success, this job waits for its requeue",
}


_LATER = {
    "delay": "it was submitted so",
    "retry": "after a failed attempt",
    "snooze": "it raised Snooze",
    "rescheduled": "it was rescheduled",
    "requeue": "it was requeued so",
}


_NOT_SEEN = "due; this account sees no process on this host that serves it, "
_OF_THIS_HOST = " of this host and account"


class Servers(NamedTuple):
    """The processes that run jobs of a database.

    Attributes:
        daemons: the daemons' announcements: name, state, reason, pools.
        processes: the ids of `daemons` and plain `workers`; None when this user may not see them.
        listening: the queues of each group of workers that can be woken.
        are_shared: True when processes of other hosts and accounts may run the jobs, too.
        sessions: the sessions that run jobs, as a server lists them; None without any.
    """

    daemons: Sequence[Row]
    processes: Mapping[str, Sequence[int]] | None
    listening: Sequence[ServedQueues] = ()
    are_shared: bool = False
    sessions: str | None = None

    @classmethod
    def of(cls, place: Place) -> Servers:
        """Find the processes of a database without changing anything."""
        listening: list[ServedQueues] = []
        for path in place.paths:
            with suppress(OSError):
                groups = wakeup_groups.groups_in(str(companion_path(path)))
                listening += [group.served for group in groups]
        daemons = [one for path in place.paths for one in announcements.living(path)]
        processes = lock_holders.servers_at(place.paths)
        return cls(daemons, processes, listening, place.is_shared, place.sessions())


def why_waiting(queue: ReadQueue, found: Row) -> str | None:
    """Return why a job is still pending; None for a job with another status.

    Args:
        queue: the queue.
        found: the answer of `get_status`.
    """
    if found["status"] != "pending":
        return None
    parents = jobs.awaited_parents(queue._database, found["id"])
    known = (
        reason(found, parents, queue._database.now()),
        pause_of(queue.paused(), found["queue"]),
        newer_gigq(found),
        unknown_function(found, unknown_functions.listed(queue._database)),
    )
    return "; ".join(filter(None, known)) or served(found["queue"], Servers.of(queue.place))


def reason(job: Row, parents: Sequence[Row], now: str) -> str | None:
    """Return the parent or the time for which a job waits; None when it is due."""
    if parents:
        return _for_parents(parents, job["on_parent_failure"])
    due_at = job["retry_after"]
    if not isinstance(due_at, str) or due_at <= now:
        return None
    try:
        left = clock.parse(due_at) - clock.parse(now)
    except ValueError:  # foreign SQL wrote it; the store compares texts
        return f"not due until {due_at}"
    ahead = format_duration(max(0, left.total_seconds()))
    why = _LATER.get(str(job.get("due_why")))
    return f"not due until {local_time(due_at)} (in {ahead}{f'; {why}' if why else ''})"


def pause_of(paused: Mapping[str, str], queue: object) -> str | None:
    """Return the pause of a job's queue; None when it is not paused."""
    match pauses.pause_of(paused, queue):
        case None:
            return None
        case served_queues.EVERY as name:
            return f"every queue is paused, since {local_time(paused[name])}; gigq resume ends it"
        case name:
            since = local_time(paused[name])
            return f"its queue {name!r} is paused, since {since}; gigq resume {name} ends it"


def newer_gigq(job: Row) -> str | None:
    """Return the schema that a daemon must know for a job; None when any one may run it."""
    schema = job.get("needs_schema")
    return None if schema is None else f"only a daemon that knows schema {schema} runs it"


def unknown_function(job: Row, notes: Iterable[Row]) -> str | None:
    """Return which hosts have not found the function of a job; None when there are none.

    Args:
        job: the job.
        notes: the functions that daemons have not found, by host.
    """
    function = job.get("function_file") or job["function_module"], job["function_name"]
    found = [row for row in notes if (row["module"], row["name"]) == function]
    if not found:
        return None
    asked = {row["host"]: local_time(row["since"]) for row in reversed(found)}
    hosts = ", ".join(f"{host} since {since}" for host, since in reversed(asked.items()))
    name = shorten(f"{function[0]}:{function[1]}", 200)
    return f"waits for a daemon that knows its function {name}; not found on {hosts}"


def served(queue: object, servers: Servers) -> str:
    """Return why a due job has not started, as far as the state of the processes shows it."""
    serving_it = [
        (daemon, pool)
        for daemon in servers.daemons
        for pool in daemon["pools"]
        if parse(pool["queues"]).serves(queue)
    ]
    workers = servers.processes["workers"] if servers.processes else ()
    here = _OF_THIS_HOST if servers.are_shared else ""
    if serving_it:
        daemon, pool = min(serving_it, key=_obstacles)
        why = _by_daemon(daemon, pool)
        beside = workers and daemon["state"] in _NOT_AT_WORK
        return f"{why}; {_plain(workers)} too" if beside else why
    if servers.processes is None:
        return "due; this user may not see which processes run jobs of this database"
    if workers and servers.listening and not any(one.serves(queue) for one in servers.listening):
        return f"its queue {queue!r} is served by no worker{here} ({_patterns(servers.listening)})"
    if workers:
        return f"due; {_plain(workers)} and is busy, or does not serve queue {queue!r}"
    if servers.daemons:
        return f"its queue {queue!r} is served by no pool{here} ({_pools(servers.daemons)})"
    if servers.processes["daemons"]:
        return "due; the daemon of this database is starting, or cannot announce what it serves"
    if servers.are_shared:
        return _NOT_SEEN + _elsewhere(servers.sessions)
    return "no daemon and no worker runs on this database; start gigqd, or gigq worker"


def _elsewhere(sessions: str | None) -> str:
    if sessions is None:
        return "and the server lists no session of a daemon or worker; start gigqd, or gigq worker"
    return f"but the server lists {sessions}, of another host, account or queue in the database"


def _for_parents(parents: Sequence[Row], policy: object) -> str:
    # A finished parent first: the job waits for its requeue, which only a user can do.
    parent = next((row for row in parents if row["status"] in _OVER), parents[0])
    more = f", and {len(parents) - 1} more" if len(parents) > 1 else ""
    is_over = parent["status"] in _OVER
    what = "requeue that one" if is_over else _POLICIES.get(str(policy), _POLICIES["fail"])
    name = shorten(str(parent["name"]), 200)
    state = parent["status"] or "missing"
    return (
        f"waits for its parent {name} ({parent['id']}), which is {state}{more}; "
        f"{what} (on_parent_failure is {policy})"
    )


def _by_daemon(daemon: Row, pool: Row) -> str:
    who = f"the daemon {daemon['name']!r}"
    match daemon["state"]:
        case "paused":
            return f"{who} is paused; gigqd resume starts its jobs again"
        case "degraded":
            return f"{who} is degraded: {daemon['reason']}"
        case "starting" | "stopping":
            return f"{who} is {daemon['state']}"
        case _ if pool.get("size") == 0:
            return f"its queue is served by pool {pool['name']!r}, which has no workers (size = 0)"
        case _:
            return f"due; waits for a free worker of pool {pool['name']!r}"


def _obstacles(serving_it: tuple[Row, Row]) -> tuple[bool, bool]:
    daemon, pool = serving_it
    return daemon["state"] in _NOT_AT_WORK, pool.get("size") == 0


def _pools(daemons: Sequence[Row]) -> str:
    pools = (pool for daemon in daemons for pool in daemon["pools"])
    return "; ".join(f"{pool['name']}: {', '.join(pool['queues'])}" for pool in pools)


def _patterns(listening: Sequence[ServedQueues]) -> str:
    return "; ".join(", ".join(one.patterns()) for one in listening)


def _plain(workers: Sequence[int]) -> str:
    pids = ", ".join(str(pid) for pid in workers if pid > 0)
    which = f" (pid {pids})" if pids else " (in another container)"
    return f"a plain worker{which} runs on this database"
