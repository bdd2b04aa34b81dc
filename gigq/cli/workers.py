"""The command `gigq workers`."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from gigq.cli import exit_codes, output
from gigq.cli.answers import pause_lines
from gigq.cli.formatting import local_time
from gigq.cli.open_queue import queue_for_reading
from gigq.cli.options import Commands, Namespace, add_json, add_parser
from gigq.model import clock
from gigq.model.units import format_duration
from gigq.store.verbs import processes
from gigq.terminal import printable

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from gigq.store.named_database import Place

    Row = Mapping[str, Any]

_DETAILS = """\
Show the daemons and the processes with plain workers, on every host: their
pools, their leases, and the jobs that they run. A worker that only takes single
jobs from a file is left out."""
_KEYS = ("kind", "host", "pid", "version", "run", "started_at", "lease_ends_at")
_JOB_KEYS = ("job_id", "name", "queue", "worker_id", "attempt", "started_at")


def add_command(commands: Commands) -> None:
    """Add the command's parser."""
    what, example = "show the processes that run jobs", "gigq workers"
    parser = add_parser(commands, "workers", workers, what, example=example, details=_DETAILS)
    add_json(parser)


def workers(args: Namespace) -> int:
    """Show the processes that run jobs."""
    found, paused = found_at(args.db)
    if args.json:
        for one in found:
            output.print_json(one)
    else:
        print(text(found, paused, "No process runs jobs."))
    return exit_codes.OK


def found_at(database: str) -> tuple[list[dict[str, Any]], dict[str, str]]:
    """Return the processes that run jobs of a database, as JSON shows them, and its pauses.

    Raises:
        StoreError: there is no such database, or no queue in it.
    """
    with queue_for_reading(Namespace(db=database)) as queue:
        now = queue._database.now()
        rows = processes.listed(queue._database)
        return [shape(row, queue.place, now) for row in rows], queue.paused()


def text(found: Iterable[Row], paused: Mapping[str, str], without: str) -> str:
    """Return processes as text, or what it says `without` any, and then the pauses."""
    lines = [line for one in found for line in _lines(one)] or [without]
    return "\n".join([*lines, *pause_lines(paused)])


def shape(row: Row, place: Place, now: str) -> dict[str, Any]:
    """Return a process as JSON shows it.

    Args:
        row: its row, with its open executions as `running`.
        place: the place of its database.
        now: the database's time.
    """
    info, (alive, state) = _info(row["info"]), _state(row, place, now)
    return {
        **{key: row[key] for key in _KEYS},
        "name": info.get("name"),
        "pools": [pool for pool in info.get("pools", ()) if _is_pool(pool)],
        "alive": alive,
        "state": state,
        "jobs": [{key: one[key] for key in _JOB_KEYS} for one in row["running"]],
    }


def _info(text: str) -> dict[str, Any]:
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):  # another program wrote it
        return {}
    is_known = isinstance(found, dict) and isinstance(found.get("pools", []), list)
    return found if is_known else {}


def _is_pool(found: Any) -> bool:
    return (
        isinstance(found, dict)
        and {"name", "size", "queues"} <= found.keys()
        and isinstance(found["queues"], list)
        and all(isinstance(queue, str) for queue in found["queues"])
    )


def _state(row: Row, place: Place, now: str) -> tuple[bool, str]:
    """Return False for a process that may run no jobs any more, and its state in words."""
    is_alive, lease = _lease(row, place, now)
    if not place.is_gone(row["run"]):
        return is_alive, lease
    return False, "gone" if row["lease_ends_at"] is None else f"gone, {lease}"


def _lease(row: Row, place: Place, now: str) -> tuple[bool, str]:
    ends_at = row["lease_ends_at"]
    if ends_at is None:
        return True, "no lease" if place.is_shared else "running"
    if not clock.is_time(ends_at):  # another program wrote it
        return True, f"lease ends at {ends_at}"
    left = (clock.parse(ends_at) - clock.parse(now)).total_seconds()
    if left > 0 and clock.was_set_back(row["seen_at"], now, row["lease"]):
        return False, "not seen since the server's clock was set back"
    if left > 0:
        return True, f"lease ends in {format_duration(round(left))}"
    return False, f"lease over since {local_time(ends_at)}"


def _lines(found: Row) -> Iterator[str]:
    name = f" {found['name']!r}" if found["name"] else ""
    who = f"{found['kind']}{name} on {found['host']} (pid {found['pid']})"
    since = local_time(found["started_at"])
    yield printable(f"{who}, gigq {found['version']}, since {since}: {found['state']}")
    for pool in found["pools"]:
        number, queues = pool["size"], ", ".join(pool["queues"])
        ending = "" if number == 1 else "s"
        yield printable(f"  pool {pool['name']}: {number} worker{ending}, queues {queues}")
    for job in found["jobs"]:
        since = local_time(job["started_at"])
        yield printable(f"  {job['worker_id']}: {job['name']} ({job['job_id']}), since {since}")
