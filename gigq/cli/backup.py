"""The command `gigq backup`."""

from __future__ import annotations

import signal

from gigq.cli import exit_codes
from gigq.cli.answers import answer
from gigq.cli.errors import OptionsError
from gigq.cli.options import Commands, Namespace, add_json, add_parser
from gigq.model.database_address import is_address
from gigq.model.units import format_size
from gigq.store.backup import back_up
from gigq.store.named_database import require_queue
from gigq.terminal import printable

_DETAILS = """\
DEST appears when every page of the copy has been checked and is on the disk.
After a failure DEST is unchanged."""


def add_command(commands: Commands) -> None:
    """Add the command's parser."""
    parser = add_parser(
        commands,
        "backup",
        backup,
        "copy the database to a file while it is in use, and verify the copy",
        example="gigq backup /backup/jobs.db --force",
        details=_DETAILS,
    )
    parser.add_argument("target", metavar="DEST", help="the file to create")
    parser.add_argument("--force", action="store_true", help="replace DEST if it exists")
    add_json(parser)


def backup(args: Namespace) -> int:
    """Copy the database to a file while it is in use."""
    _refuse_address(args.db, args.target)
    require_queue(args.db)
    # SIGTERM, from a timer or a shutdown, must remove the unfinished file as Ctrl-C does.
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        made = back_up(args.db, args.target, force=args.force)
    finally:
        signal.signal(signal.SIGTERM, before)
    shape = {
        "database": args.db,
        "backup": made.path,
        "bytes": made.size,
        "rows": made.counts,
        "seconds": round(made.seconds, 3),
        "verified": True,
    }
    sentence = (
        f"Backed up {printable(args.db)} to {printable(args.target)}: "
        f"{made.counts['jobs']} jobs, {format_size(made.size)}, verified."
    )
    answer(args, shape, sentence)
    return exit_codes.OK


def _refuse_address(*names: str) -> None:
    if any(map(is_address, names)):
        raise OptionsError("gigq backup copies an SQLite file; for PostgreSQL use pg_dump")
