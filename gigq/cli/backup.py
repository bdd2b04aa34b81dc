"""The command `gigq backup`."""

from __future__ import annotations

import signal
from typing import TYPE_CHECKING

from gigq.cli import exits, terminal, text
from gigq.cli.opening import refuse_what_is_no_queue
from gigq.errors import UnsupportedStore
from gigq.model.units import format_size
from gigq.store.backup import back_up

if TYPE_CHECKING:
    import argparse


def backup(args: argparse.Namespace) -> int:
    """Copy the database to a file while it is in use."""
    _refuse_address(args.db)
    refuse_what_is_no_queue(args.db)
    # SIGTERM, from a timer or a shutdown, must remove the unfinished file as Ctrl-C does.
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        made = back_up(args.db, args.target, force=args.force)
    finally:
        signal.signal(signal.SIGTERM, before)
    if args.json:
        terminal.print_json(
            {
                "database": args.db,
                "backup": made.path,
                "bytes": made.size,
                "rows": made.counts,
                "seconds": round(made.seconds, 3),
                "verified": True,
            }
        )
        return exits.OK
    print(
        f"Backed up {text.printable(args.db)} to {text.printable(args.target)}: "
        f"{made.counts['jobs']} jobs, {format_size(made.size)}, verified."
    )
    return exits.OK


def _refuse_address(name: str) -> None:
    if name.startswith(("postgres://", "postgresql://")):
        raise UnsupportedStore("gigq backup copies an SQLite file; for PostgreSQL use pg_dump")
