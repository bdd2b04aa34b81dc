"""Checks of the facts about a queue, each a pure function, and the list of all checks."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gigq.model import clock
from gigq.model.served_queues import EVERY
from gigq.model.units import format_duration
from gigq.store.doctor import file_checks
from gigq.store.doctor.finding import Finding
from gigq.store.sqlite.file.wal_file_names import together

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from gigq.store.doctor.inspection import Inspection
    from gigq.store.doctor.queue_facts import Inspected

LONG_WAIT = 60
"""Seconds that a due job may wait before it is worth a warning."""


def judge(inspected: Inspection) -> list[Finding]:
    """Return the findings of all checks, in a fixed order."""
    return [finding for check in CHECKS for finding in check(inspected)]


def readable(inspected: Inspection) -> Iterator[Finding]:
    """Check that the file can be read and holds a queue."""
    if inspected.content is None:
        yield Finding(
            "database",
            "problem",
            inspected.error or "it cannot be read",
            "if it is damaged, move it away with its -wal and -shm, and put a backup in its place",
        )
    elif "jobs" not in inspected.content.tables and not file_checks.is_log_missing(inspected):
        yield Finding("database", "problem", "there is no queue in it", "name another: --db FILE")


def schema(inspected: Inspection) -> Iterator[Finding]:
    """Check the version of the schema."""
    if inspected.content is None or "jobs" not in inspected.content.tables:
        return
    found, known = inspected.content.schema, inspected.known_schema
    if found > known:
        yield newer(found, known, inspected.content.usable_from)
    elif inspected.content.obstacle is not None:
        remedy = "back up the file first, with no gigq running: GigQ 0.5.1 cannot use it afterwards"
        yield Finding("schema", "problem", inspected.content.obstacle, remedy)
    elif found < known:
        yield _to_be_migrated(found, known)
    else:
        yield Finding("schema", "ok", f"schema {found}")


def newer(found: int, known: int, usable_from: int | None) -> Finding:
    """Return the finding on a database that a newer gigq has migrated."""
    if usable_from is not None and usable_from <= known:
        said = f"schema {found} is of a newer gigq; this one knows {known}, and may use it"
        return Finding("schema", "note", said, "upgrade this gigq, too")
    said = f"schema {found}, this gigq knows {known}"
    return Finding("schema", "problem", said, "upgrade this gigq")


def _to_be_migrated(found: int, known: int) -> Finding:
    named, then = f"schema {found}", "an older gigq refuses it then, so run gigq backup first"
    if not found:
        named = "a file of GigQ 0.5.1"
        then = "GigQ 0.5.1 must not use it then, so stop its workers and run gigq backup first"
    return Finding(
        "schema",
        "note",
        f"{named}; this gigq works with {known}",
        f"it is brought up to date when it is next opened for writing; {then}",
    )


def jobs(inspected: Inspected) -> Iterator[Finding]:
    """Report the number of jobs by state."""
    if inspected.content is None or inspected.content.schema < 1:
        return
    counts = inspected.content.counts
    known = [f"{counts[name]} {word}" for name, word in _WORDS.items() if name in counts]
    left_out = [word for name, word in _WORDS.items() if name not in counts]
    if left_out:
        known.append(f"not counted in the time for it: {', '.join(left_out)}")
    yield Finding("jobs", "ok", ", ".join(known))


def paused(inspected: Inspected) -> Iterator[Finding]:
    """Report the queues that are paused."""
    if inspected.content is None or not inspected.content.paused:
        return
    names = [str(name) for name in inspected.content.paused]
    found = f"paused: {', '.join(names)}" if EVERY not in names else "every queue is paused"
    yield Finding("pauses", "note", found, "gigq resume starts their jobs again")


def functions(inspected: Inspected) -> Iterator[Finding]:
    """Report the functions that daemons have not found, whose jobs wait for a time."""
    if inspected.content is None or not inspected.content.unknown:
        return
    yield Finding(
        "functions",
        "warning",
        f"not found: {', '.join(inspected.content.unknown)}",
        "deploy the code that has them and run gigqd reload; or cancel or correct their jobs",
    )


def serving(inspected: Inspected) -> Iterator[Finding]:
    """Report the processes that run the jobs."""
    if inspected.servers is None:
        yield Finding(
            "workers", "note", "this user may not see which processes run jobs", "run as the owner"
        )
        return
    known = [
        f"{word} {' '.join(map(str, inspected.servers[kind]))}"
        for kind, word in (("daemons", "gigqd"), ("workers", "worker"))
        if inspected.servers[kind]
    ]
    if known:
        yield Finding("workers", "ok", f"jobs are run by {', '.join(known)}")
    else:
        yield Finding("workers", "note", "no process runs jobs", "gigqd start, or gigq worker")


def waiting(inspected: Inspected) -> Iterator[Finding]:
    """Check how long due jobs have waited."""
    if inspected.content is None or inspected.content.waiting is None:
        return
    late = [(one.since, f"queue {one.queue}") for one in inspected.content.waiting]
    if inspected.content.overdue_since is not None:
        late.append((inspected.content.overdue_since, "a delayed job"))
    if not late:
        yield Finding("oldest", "ok", "no job is due")
        return
    readable = [(since, where) for since, where in late if clock.is_time(since)]
    if not readable:
        found = "jobs are due, and their times cannot be read: other programs wrote them"
        yield Finding("oldest", "note", found)
        return
    since, where = min(readable)
    waited = (clock.parse(inspected.now) - clock.parse(since)).total_seconds()
    found = f"the oldest due job ({where}) has been due for {format_duration(waited)}"
    if waited <= LONG_WAIT:
        yield Finding("oldest", "ok", found)
    else:
        yield Finding("oldest", "warning", found, _why_it_waits(inspected))


def _why_it_waits(inspected: Inspected) -> str:
    if inspected.is_served is False:
        return "no process runs jobs: gigqd start, or gigq worker"
    return "see in gigqd status whether a pool serves that queue, is paused, or has too few workers"


def lost(
    inspected: Inspected,
    remedy: str = "look again: the daemon or worker that runs here settles them within seconds",
) -> Iterator[Finding]:
    """Report running jobs whose worker process is gone.

    Args:
        inspected: the queue.
        remedy: what to do while other processes run jobs.
    """
    if not inspected.gone:
        return
    yield Finding(
        "lost",
        "note" if inspected.is_served else "warning",
        f"{inspected.gone} running jobs have no process any more",
        remedy
        if inspected.is_served
        else "start gigqd or a worker: it settles them before it claims a job",
    )


def integrity(inspected: Inspection) -> Iterator[Finding]:
    """Report the result of the check of all pages, if it was requested."""
    if inspected.content is None or inspected.content.integrity is None:
        return
    if inspected.content.integrity == ("ok",):
        yield Finding("integrity", "ok", "every page was read and is in order")
        return
    beside = [file.path.removeprefix(inspected.path) for file in inspected.files]
    yield Finding(
        "integrity",
        "problem",
        f"damaged: {'; '.join(inspected.content.integrity)}",
        f"stop everything, keep {together(beside)}, and restore a backup",
    )


CHECKS: tuple[Callable[[Inspection], Iterator[Finding]], ...] = (
    *(file_checks.library, file_checks.file_system, file_checks.rights, readable, schema),
    *(file_checks.journal, file_checks.log, file_checks.size, file_checks.room),
    *(jobs, paused, functions, serving, waiting, lost, integrity),
)
_WORDS = {
    "total": "jobs",
    "due": "due",
    "delayed": "delayed",
    "waiting": "waiting for others",
    "running": "running",
    "finished": "finished",
}
