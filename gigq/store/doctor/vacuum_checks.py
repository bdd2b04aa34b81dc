"""Checks of dead rows on a server, of what keeps them and of free space, each a pure function."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from gigq.model.units import MIB, format_duration, format_size
from gigq.store.doctor.finding import Finding
from gigq.store.doctor.remedies import remedy

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from gigq.store.doctor.server_inspection import ServerInspection

LONG_TRANSACTION = 60.0
"""Seconds that a transaction may keep dead rows before it is worth a warning."""

_MANY_DEAD = 10_000
_MANY_TRANSACTIONS = 10_000
_MUCH_FREE = 32 * MIB


def dead_rows(inspected: ServerInspection) -> Iterator[Finding]:
    """Check for dead rows, over which every claim has to step, and the autovacuum."""
    tables = inspected.rows("tables")
    if not tables:
        return
    found = "; ".join(map(_vacuumed, tables))
    if not inspected.server["autovacuum"]:
        yield Finding(
            "vacuum",
            "warning",
            f"autovacuum is off on the server: {found}",
            "set autovacuum = on and track_counts = on in postgresql.conf, and reload the server",
        )
        return
    off = [table["name"] for table in tables if not table["autovacuum"]]
    if off:
        yield Finding(
            "vacuum",
            "warning",
            f"autovacuum is off for {', '.join(off)}: {found}",
            "; ".join(remedy("reset_autovacuum", table=name) for name in off),
        )
        return
    many = [one["name"] for one in tables if one["dead"] > _many(one)]
    advice = f"{_why_kept(inspected)}; then VACUUM {', '.join(many)}" if many else None
    yield Finding("vacuum", "warning" if many else "ok", found, advice)


def _many(table: Mapping[str, Any]) -> float:
    return max(_MANY_DEAD, 2 * float(table["vacuumed_from"]))


def _vacuumed(table: Mapping[str, Any]) -> str:
    ago = table["vacuumed_ago"]
    when = "not vacuumed yet" if ago is None else f"vacuumed {format_duration(ago)} ago"
    return f"{table['name']} has {table['dead']} dead beside {table['live']} rows, {when}"


def _why_kept(inspected: ServerInspection) -> str:
    """Return the action against what keeps dead rows from the vacuum."""
    holders = [f"process {one['pid']}" for one in _holding(inspected)]
    holders += [
        f"prepared transaction {o['name']}" for o in inspected.rows("prepared_transactions")
    ]
    holders += [f"replication slot {one['name']}" for one in inspected.rows("slots")]
    if holders:
        return f"end what keeps them, see below: {', '.join(holders)}"
    return "if that comes back, raise autovacuum_max_workers: autovacuum does not keep up"


def _holding(inspected: ServerInspection) -> list[Mapping[str, Any]]:
    return [one for one in inspected.rows("transactions") if one["holds_rows"]]


def transactions(inspected: ServerInspection) -> Iterator[Finding]:
    """Report the oldest open transaction, and what else keeps dead rows from the vacuum."""
    seen = inspected.rows("transactions")
    sessions = [one for one in seen if not one["is_standby"]]
    if inspected.lists["transactions"] is None or not inspected.server["sees_sessions"]:
        yield Finding(
            "transaction",
            "note",
            f"role {inspected.server['role']} sees its own transactions only",
            f"GRANT pg_read_all_stats TO {inspected.server['quoted_role']}, or run doctor as "
            "another role",
        )
    if sessions:
        # One that keeps rows is more than one that does not.
        yield _open(max(sessions, key=lambda one: (one["holds_rows"], one["seconds"])))
    elif inspected.server["sees_sessions"]:
        yield Finding("transaction", "ok", "no other transaction is open")
    yield from map(_prepared, inspected.rows("prepared_transactions"))
    yield from map(_slot, inspected.rows("slots"))
    yield from map(_standby, (one for one in seen if one["is_standby"]))


def _open(one: Mapping[str, Any]) -> Finding:
    state = one["state"] or "of unknown state"
    program = f" ({one['program']})" if one["program"] else ""
    found = (
        f"the oldest open transaction is {format_duration(one['seconds'])} old: process "
        f"{one['pid']}{program} of role {one['role']}, {state}"
    )
    if one["seconds"] <= LONG_TRANSACTION:
        return Finding("transaction", "ok", found)
    end = f"end it: SELECT pg_terminate_backend({one['pid']})"
    if state.startswith("idle"):
        end += "; idle_in_transaction_session_timeout ends such ones by itself"
    if one["holds_rows"]:
        return Finding("transaction", "warning", f"{found}; it keeps all dead rows since", end)
    return Finding("transaction", "note", found, end)


def _prepared(one: Mapping[str, Any]) -> Finding:
    found = (
        f"prepared transaction {one['name']} of role {one['role']} is "
        f"{format_duration(one['seconds'])} old and keeps all dead rows since"
    )
    how = f"COMMIT PREPARED or ROLLBACK PREPARED '{one['name']}', in this database"
    severity = "warning" if one["seconds"] > LONG_TRANSACTION else "note"
    return Finding("transaction", severity, found, how)


def _slot(one: Mapping[str, Any]) -> Finding:
    found = f"replication slot {one['name']} keeps dead rows of {_since(one)}"
    if one["is_active"]:
        return Finding("transaction", _lag(one), found, "see what its standby runs for so long")
    start = f"start its standby, or SELECT pg_drop_replication_slot('{one['name']}')"
    return Finding("transaction", _lag(one), f"{found}, and is not in use", start)


def _standby(one: Mapping[str, Any]) -> Finding:
    return Finding(
        "transaction",
        _lag(one),
        f"standby {one['program'] or one['pid']} keeps dead rows of {_since(one)}",
        "end the long query on it, or switch hot_standby_feedback off there",
    )


def _since(one: Mapping[str, Any]) -> str:
    return f"the last {one['transactions']} transactions"


def _lag(one: Mapping[str, Any]) -> str:
    return "warning" if one["transactions"] > _MANY_TRANSACTIONS else "note"


def bloat(inspected: ServerInspection) -> Iterator[Finding]:
    """Check the size of tables and indexes, and how much of it is free."""
    tables = inspected.rows("tables")
    if not tables:
        return
    sizes = [
        f"{one['name']} {format_size(one['bytes'])}, its indexes "
        f"{format_size(one['bytes_of_indexes'])}"
        for one in tables
    ]
    loose = [one for one in (*tables, *inspected.rows("indexes")) if _is_bloated(one)]
    if not loose:
        yield Finding("size", "ok", "; ".join(sizes))
        return
    free = ", ".join(f"{format_size(_free(one))} of {one['name']}" for one in loose)
    names = {one["name"] for one in tables}
    ways = [
        f"VACUUM FULL {one['name']} with everything stopped"
        if one["name"] in names
        else f"REINDEX INDEX CONCURRENTLY {one['name']}"
        for one in loose
    ]
    yield Finding(
        "size",
        "note",
        f"{'; '.join(sizes)}; about {free} are free",
        f"the server uses free space again; to return it: {', '.join(ways)}",
    )


def _is_bloated(one: Mapping[str, Any]) -> bool:
    return _free(one) > _MUCH_FREE and _free(one) > one["measured"] / 2


def _free(one: Mapping[str, Any]) -> int:
    return int(one["measured"] - (one["expected"] or 0))
