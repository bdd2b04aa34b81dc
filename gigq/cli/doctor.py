"""The command `gigq doctor`."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from gigq.cli import exit_codes, output
from gigq.cli.answers import answer
from gigq.cli.errors import OptionsError
from gigq.cli.options import Commands, Namespace, add_json, add_parser
from gigq.model.database_address import is_address
from gigq.store.doctor import inspection, queue_checks
from gigq.store.doctor.finding import worst
from gigq.terminal import printable

if TYPE_CHECKING:
    from gigq.store.doctor.finding import Finding
    from gigq.store.doctor.inspection import Inspection
    from gigq.store.doctor.server_inspection import ServerInspection

COLOURS = {"ok": "32", "note": "36", "warning": "33", "problem": "31"}
INSPECTION = ("path", "python", "sqlite", "file_system", "size", "wal", "room", "gone", "readers")
LISTS = ("rights", "tables", "transactions", "prepared_transactions", "slots", "sessions_of_gigq")
SERVER = (
    *("path", "python", "clock_ahead", "clock_error", "pooler", "connections", "servers", "gone"),
)
CONTENT = ("journal_mode", "schema", "page_size", "pages", "free_pages", "counts", "overdue_since")

_DETAILS = """\
The command changes nothing. Without an option it takes less than a second."""


def add_command(commands: Commands) -> None:
    """Add the command's parser."""
    parser = add_parser(
        commands,
        "doctor",
        doctor,
        "check the database, and show what is wrong and what to do",
        example="gigq doctor --integrity",
        details=_DETAILS,
    )
    how = parser.add_mutually_exclusive_group()
    for option, check, what in (
        ("--integrity", "full", "check every page and compare every index with its table"),
        ("--quick", "quick", "check every page"),
    ):
        how.add_argument(option, dest="check", action="store_const", const=check, help=what)
    add_json(parser)


def doctor(args: Namespace) -> int:
    """Inspect a database and print what is wrong and what to do."""
    findings, facts = _of_server(args) if is_address(args.db) else _of_file(args)
    severity = worst(findings)
    shape = {"worst": severity, "findings": [asdict(one) for one in findings], "facts": facts}
    answer(args, shape, "\n".join(map(_line, findings)))
    return exit_codes.OK if severity in {"ok", "note"} else exit_codes.NEGATIVE


def _of_file(args: Namespace) -> tuple[list[Finding], dict[str, Any]]:
    seen = inspection.gather(args.db, args.check)
    return queue_checks.judge(seen), _shown(seen)


def _of_server(args: Namespace) -> tuple[list[Finding], dict[str, Any]]:
    if args.check is not None:
        raise OptionsError(
            "--quick and --integrity check the pages of a file; for a server there is pg_amcheck"
        )
    from gigq.store.doctor import server_checks, server_inspection

    seen = server_inspection.gather(args.db)
    return server_checks.judge(seen), _shown_of_server(seen)


def _line(one: Finding) -> str:
    severity = f"{one.severity:<7}"
    if output.takes_colour():
        severity = f"\x1b[{COLOURS[one.severity]}m{severity}\x1b[0m"
    line = f"{severity}  {one.check:<11}  {printable(one.found)}"
    return line if one.remedy is None else f"{line}\n{'':22}-> {printable(one.remedy)}"


def _shown(seen: Inspection) -> dict[str, Any]:
    shown = {key: getattr(seen, key) for key in INSPECTION}
    shown["sqlite"] = ".".join(map(str, seen.sqlite))
    shown["servers"] = seen.servers
    if seen.content is not None:
        shown |= {key: getattr(seen.content, key) for key in CONTENT}
        shown["waiting"] = [asdict(one) for one in seen.content.waiting or ()]
    return shown


def _shown_of_server(seen: ServerInspection) -> dict[str, Any]:
    lists = {name: rows for name, rows in seen.lists.items() if name in LISTS}
    shown = {key: getattr(seen, key) for key in SERVER} | dict(seen.server) | lists
    if seen.content is not None:
        shown |= {key: getattr(seen.content, key) for key in ("schema", "counts", "overdue_since")}
        shown["waiting"] = [asdict(one) for one in seen.content.waiting or ()]
    return shown
