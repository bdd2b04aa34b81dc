"""The command `gigq migrate`."""

from __future__ import annotations

import sys

from gigq.cli import exit_codes
from gigq.cli.answers import answer
from gigq.cli.errors import OptionsError
from gigq.cli.options import Commands, Namespace, add_json, add_parser
from gigq.model.database_address import is_address, without_password
from gigq.store import named_database
from gigq.terminal import printable

_DETAILS = """\
The first process that opens a queue for writing migrates it, too. Where that
role of PostgreSQL may not create tables, another role runs this command, or
the script that it prints with --sql."""


def add_command(commands: Commands) -> None:
    """Add the command's parser."""
    parser = add_parser(
        commands,
        "migrate",
        migrate,
        "create the tables of a queue, or bring them up to date",
        example="gigq migrate --sql | psql shop",
        details=_DETAILS,
    )
    how = parser.add_mutually_exclusive_group()
    how.add_argument(
        "--sql",
        action="store_true",
        help="change nothing; print what the PostgreSQL database lacks, for psql",
    )
    add_json(how)
    parser.add_argument(
        "--all",
        action="store_true",
        help="with --sql: print all, for an empty database, without a connection",
    )


def migrate(args: Namespace) -> int:
    """Create the tables of a queue, or bring them up to date."""
    if args.all and not args.sql:
        raise OptionsError("--all needs --sql")
    if args.sql:
        sys.stdout.write(_script(args))
        return exit_codes.OK
    before, after = named_database.bring_up_to_date(args.db)
    database = without_password(args.db) if is_address(args.db) else args.db
    shape = {"database": database, "before": before, "schema": after}
    answer(args, shape, f"{printable(database)}: {_changed(before, after)}.")
    return exit_codes.OK


def _script(args: Namespace) -> str:
    if args.all:
        return named_database.whole_script(args.db)
    if not is_address(args.db):
        raise OptionsError(
            "gigq migrate --sql is for PostgreSQL, and a file does not need it: gigq brings a file "
            "up to date when it opens it for writing"
        )
    return named_database.missing_script(args.db)


def _changed(before: int, after: int) -> str:
    if before == after:
        return f"schema {after} is current, and nothing was changed"
    return f"schema {after} now, {before} before" if before else f"schema {after} now"
