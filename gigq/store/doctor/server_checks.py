"""Checks of the facts about a server and a queue on it, each a pure function."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from gigq.model.units import format_duration
from gigq.store.doctor import queue_checks, vacuum_checks
from gigq.store.doctor.finding import Finding
from gigq.store.doctor.remedies import grants, remedy
from gigq.store.postgres.obstacles import HIDDEN, SHOW
from gigq.store.postgres.pooler import TRANSACTION

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from gigq.store.doctor.server_inspection import ServerInspection

OLDEST_SERVER = 150_000
"""The version number of the oldest server that is supported."""

_FEW_LEFT = 0.8
_CLOCK_DIFFERENCE = 1.0
_TO_SUBMIT = {"jobs": {"select", "insert"}}
_TO_RUN = {
    "jobs": {"select", "update"},
    "job_executions": {"select", "insert", "update", "delete"},
    "job_dependencies": {"select", "insert", "delete"},
    "gigq_processes": {"select", "insert", "update", "delete"},
    "gigq_pauses": {"select", "insert", "delete"},
    "gigq_output_requests": {"select", "insert", "update", "delete"},
    "gigq_output_parts": {"select", "insert", "update", "delete"},
    "gigq_unknown_functions": {"select", "insert", "update", "delete"},
    "gigq_schema": {"select"},
    "gigq_store": {"select"},
}


def judge(inspected: ServerInspection) -> list[Finding]:
    """Return the findings of all checks, in a fixed order."""
    return [finding for check in CHECKS for finding in check(inspected)]


def version(inspected: ServerInspection) -> Iterator[Finding]:
    """Check the version of the server."""
    server = inspected.server
    found = f"PostgreSQL {server['version']}, database {server['database']}, role {server['role']}"
    if server["version_number"] < OLDEST_SERVER:
        needed = f"gigq needs PostgreSQL {OLDEST_SERVER // 10_000} or newer; upgrade the server"
        yield Finding("server", "problem", found, needed)
    elif server["is_standby"] or server["is_read_only"]:
        what = "is a standby" if server["is_standby"] else "takes no writes from this role"
        advice = "connect to the primary" if server["is_standby"] else "ask its administrator"
        yield Finding("server", "problem", f"{found}: the server {what}", advice)
    else:
        yield Finding("server", "ok", found)


def tables(inspected: ServerInspection) -> Iterator[Finding]:
    """Check that there is a queue, and the version of its schema."""
    place = inspected.server["namespace"]
    if place is None:
        path, role = inspected.server["search_path"], inspected.server["role"]
        found = f"role {role} may use no schema of the search path {path}, or there is none"
        advice = f"as the owner of the schema: {grants('worker', inspected.server)}"
        yield Finding("database", "problem", found, advice)
        return
    if inspected.content is None:
        found = f"there is no queue in schema {place}"
        yield Finding("database", "problem", found, "name another: --db ADDRESS?options=…")
        return
    schema, known = inspected.content.schema, inspected.known_schema
    if schema > known:
        yield queue_checks.newer(schema, known, inspected.content.usable_from)
    elif schema < known:
        found = f"schema {schema}" if schema else "tables of an application"
        advice = "they are brought up to date when a role that owns them next opens the queue"
        yield Finding("schema", "note", f"{found}; this gigq works with {known}", advice)
    else:
        yield Finding("schema", "ok", f"schema {schema}, in {place}")


def rights(inspected: ServerInspection) -> Iterator[Finding]:
    """Check what the role may do with the tables."""
    if inspected.content is None:
        return
    role = inspected.server["role"]
    hidden = [row["name"] for row in inspected.rows("hidden_tables")]
    if hidden:
        found = f"{HIDDEN} {' and '.join(hidden)} from role {role}"
        yield Finding("permissions", "problem", found, SHOW)
    missing = _missing(inspected, _TO_RUN)
    if not missing:
        owner = inspected.rows("rights")[0]["owner"]
        yield Finding("permissions", "ok", f"role {role} may submit and run jobs; owner {owner}")
        return
    named = {table: [right.upper() for right in lacking] for table, lacking in missing.items()}
    lacks = "; ".join(f"{' and '.join(these)} on {table}" for table, these in named.items())
    to_run = f"as the owner of the tables: {grants('worker', inspected.server)}"
    if not _missing(inspected, _TO_SUBMIT):
        found = f"role {role} may submit jobs, but not run them: it lacks {lacks}"
        yield Finding("permissions", "note", found, f"if it has to run jobs, {to_run}")
        return
    can_read = "select" not in missing.get("jobs", [])
    found = f"role {role} may neither submit nor run jobs: it lacks {lacks}"
    advice = f"{to_run} (submitter.sql beside it is for a role that only submits)"
    yield Finding("permissions", "warning" if can_read else "problem", found, advice)


def _missing(inspected: ServerInspection, needed: Mapping[str, set[str]]) -> dict[str, list[str]]:
    given = {
        row["name"]: {right for right in _RIGHTS if row[f"may_{right}"]}
        for row in inspected.rows("rights")
    }
    lacking = {
        name: [right for right in _RIGHTS if right in rights - given[name]]
        for name, rights in needed.items()
        if name in given
    }
    return {name: rights for name, rights in lacking.items() if rights}


def text(inspected: ServerInspection) -> Iterator[Finding]:
    """Check the encoding of the database and the collation of the columns."""
    server = inspected.server
    if server["encoding"] != "UTF8":
        yield Finding(
            "encoding",
            "problem",
            f"the database is encoded in {server['encoding']}, which cannot store every text",
            "create a database with ENCODING 'UTF8' TEMPLATE template0, and use that one",
        )
    other = [
        row["name"]
        for row in inspected.rows("columns_with_a_collation")
        if row["name"] in inspected.wanted_collations and not _sorts_by_bytes(row, server)
    ]
    if other:
        changes = [
            remedy("sort_by_bytes", table=table, column=column)
            for table, _, column in (name.partition(".") for name in other)
        ]
        yield Finding(
            "collation",
            "warning",
            f"{', '.join(other)} are not sorted by bytes, so times and ids compare in other ways",
            f"with everything stopped: {'; '.join(changes)}",
        )
    elif server["encoding"] == "UTF8":
        yield Finding("encoding", "ok", "UTF8; times and ids are sorted by bytes")


def _sorts_by_bytes(column: Mapping[str, Any], server: Mapping[str, Any]) -> bool:
    by_default = column["collation"] == "default" and server["collation"] in _BY_BYTES
    return column["collation"] in _BY_BYTES or by_default


def durability(inspected: ServerInspection) -> Iterator[Finding]:
    """Check that a commit survives a crash of the server."""
    server = inspected.server
    off = [name for name in ("fsync", "full_page_writes") if not server[name]]
    if off:
        yield Finding(
            "durability",
            "warning",
            f"{' and '.join(off)} off: a power cut may damage the whole database",
            "; ".join(f"ALTER SYSTEM SET {name} = on" for name in off),
        )
    if server["synchronous_commit"] == "off":
        yield Finding(
            "durability",
            "warning",
            "synchronous_commit is off: a crash of the server undoes the last commits, so that "
            "accepted jobs are lost and ended ones start again",
            "set synchronous_commit = on for this role, this database or the server",
        )
    elif not off:
        found = f"fsync is on, and synchronous_commit is {server['synchronous_commit']}"
        yield Finding("durability", "ok", found)


def pooler(inspected: ServerInspection) -> Iterator[Finding]:
    """Report a connection pooler on the way to the server."""
    if inspected.pooler == TRANSACTION:
        yield from _in_transaction_mode(inspected)
    elif inspected.pooler:
        found = "a pooler in session mode is on the way; a submit wakes idle workers by NOTIFY"
        yield Finding("connection", "ok", found)
    elif inspected.says_pooler:
        found = "the address says pooler=true, and no pooler is on the way"
        if inspected.direct is None:
            found += ": idle workers look for jobs once a second"
        yield Finding("connection", "note", found, f"{_NOT_NEEDED}, so that NOTIFY wakes workers")
    else:
        found = "connected without a pooler; a submit wakes idle workers by NOTIFY"
        yield Finding("connection", "ok", found)


def _in_transaction_mode(inspected: ServerInspection) -> Iterator[Finding]:
    found = "a pooler in transaction mode is on the way"
    if inspected.direct is not None:
        yield Finding("connection", "ok", f"{found}; workers listen at the direct address")
        return
    slow = "LISTEN does not work, so idle workers look for jobs once a second"
    yield Finding("connection", "note", f"{found}: {slow}", _DIRECT)


def connection_limit(inspected: ServerInspection) -> Iterator[Finding]:
    """Check how many connections are left."""
    seen = inspected.connections
    if not seen:
        return
    limits = [
        (seen["used"], seen["limit_of_server"] - seen["reserved"], "max_connections"),
        (seen["of_role"], seen["limit_of_role"], f"the limit of role {inspected.server['role']}"),
        (
            seen["of_database"],
            seen["limit_of_database"],
            f"the limit of database {inspected.server['database']}",
        ),
    ]
    used, limit, name = max(
        (one for one in limits if one[1] is not None), key=lambda one: one[0] / max(1, one[1])
    )
    ours = [f"{row['program']} {row['number']}" for row in inspected.rows("sessions_of_gigq")]
    found = f"{used} of {limit} connections are used; of gigq: {', '.join(ours) or 'no other'}"
    if used < _FEW_LEFT * limit:
        yield Finding("connections", "ok", found)
    else:
        yield Finding("connections", "warning", found, f"raise {name}, or use fewer workers")


def clocks(inspected: ServerInspection) -> Iterator[Finding]:
    """Report the difference between the clocks of this host and the server, which counts."""
    ahead, error = inspected.clock_ahead, inspected.clock_error
    if abs(ahead) - error < _CLOCK_DIFFERENCE:
        yield Finding(
            "clock", "ok", f"the server's clock differs by less than {_CLOCK_DIFFERENCE:g} s"
        )
        return
    way = "ahead of" if ahead > 0 else "behind"
    yield Finding(
        "clock",
        "note",
        f"the server's clock is {format_duration(abs(ahead))} {way} this host's",
        "jobs follow the server's clock; synchronise both, so that logs agree with it",
    )


def serving(inspected: ServerInspection) -> Iterator[Finding]:
    """Report the processes that run the jobs."""
    if inspected.content is None:
        return
    if inspected.is_served is not None or inspected.sessions is None:
        yield from queue_checks.serving(inspected)
    else:
        yield Finding(
            "workers",
            "note",
            "this account sees no process on this host that runs jobs, but the server lists "
            f"{inspected.sessions}, of another host, account or queue in the database",
            "gigqd start, or gigq worker, if they do not run the jobs of this queue",
        )


def lost(inspected: ServerInspection) -> Iterator[Finding]:
    """Report running jobs whose worker process is gone."""
    yield from queue_checks.lost(
        inspected,
        "look again when the lease of that process is over (gigq workers): the daemons and workers "
        "of every host settle them then",
    )


CHECKS: tuple[Callable[[ServerInspection], Iterator[Finding]], ...] = (
    *(version, tables, rights, text, durability, connection_limit, pooler, clocks),
    *(vacuum_checks.dead_rows, vacuum_checks.transactions, vacuum_checks.bloat),
    *(queue_checks.jobs, queue_checks.paused, queue_checks.functions, serving),
    *(queue_checks.waiting, lost),
)
_RIGHTS = ("select", "insert", "update", "delete")
_NOT_NEEDED = "leave out pooler and direct (in a configuration pooler and direct_address)"
_DIRECT = (
    "give the address pooler=true and direct=HOST:PORT, which goes to the server itself; or use a "
    "pool in session mode"
)
_BY_BYTES = frozenset({"C", "POSIX", "C.UTF-8", "C.utf8", "ucs_basic", "pg_c_utf8"})
