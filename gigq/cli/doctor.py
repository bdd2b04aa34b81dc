"""The command `gigq doctor`."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from gigq.cli import exits, terminal, text
from gigq.store.doctor import file_checks, inspection, queue_checks

if TYPE_CHECKING:
    import argparse

    from gigq.store.doctor.file_checks import Finding
    from gigq.store.doctor.inspection import Inspection

COLOURS = {"ok": "32", "note": "36", "warning": "33", "problem": "31"}
INSPECTION = ("path", "python", "sqlite", "file_system", "size", "wal", "room", "gone", "readers")
CONTENT = ("journal_mode", "schema", "page_size", "pages", "free_pages", "counts", "overdue_since")


def doctor(args: argparse.Namespace) -> int:
    """Inspect a database and print what is wrong and what to do."""
    seen = inspection.gather(args.db, args.check)
    judged = queue_checks.judge(seen)
    worst = file_checks.worst(judged)
    if args.json:
        terminal.print_json(
            {
                "worst": worst,
                "findings": [asdict(one) for one in judged],
                "facts": _shown(seen),
            }
        )
    else:
        for one in judged:
            print(_line(one))
    return exits.OK if worst in {"ok", "note"} else exits.NEGATIVE


def _line(one: Finding) -> str:
    severity = f"{one.severity:<7}"
    if terminal.takes_colour():
        severity = f"\x1b[{COLOURS[one.severity]}m{severity}\x1b[0m"
    line = f"{severity}  {one.check:<11}  {text.printable(one.found)}"
    return line if one.remedy is None else f"{line}\n{'':22}-> {text.printable(one.remedy)}"


def _shown(seen: Inspection) -> dict[str, Any]:
    shown = {key: getattr(seen, key) for key in INSPECTION}
    shown["sqlite"] = ".".join(map(str, seen.sqlite))
    shown["servers"] = seen.servers
    if seen.content is not None:
        shown |= {key: getattr(seen.content, key) for key in CONTENT}
        shown["waiting"] = [asdict(one) for one in seen.content.waiting or ()]
    return shown
