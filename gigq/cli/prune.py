"""The command `gigq prune`."""

from __future__ import annotations

from gigq.cli import arguments, exit_codes
from gigq.cli.answers import answer
from gigq.cli.open_queue import existing_queue
from gigq.cli.options import Commands, Namespace, add_json, add_parser, choices
from gigq.store.verbs.prune import FINISHED

_DETAILS = """\
Jobs that an unfinished job depends on are kept. The daemon prunes
automatically, as the table [retention] of its configuration says."""


def add_command(commands: Commands) -> None:
    """Add the command's parser."""
    parser = add_parser(
        commands,
        "prune",
        prune,
        "delete finished jobs by age or number",
        example="gigq prune --before 30d --status failed --dry-run",
        details=_DETAILS,
    )
    how = parser.add_mutually_exclusive_group(required=True)
    how.add_argument(
        "--before",
        type=arguments.age,
        metavar="DURATION",
        help="delete jobs that ended longer ago than this, such as 30d or 12h",
    )
    how.add_argument(
        "--keep", type=arguments.amount, metavar="N", help="delete all but the last N of a status"
    )
    parser.add_argument(
        "--status",
        dest="statuses",
        action="append",
        choices=FINISHED,
        metavar="STATUS",
        help=f"only {choices(FINISHED)} (may be repeated; default: all)",
    )
    parser.add_argument("--dry-run", action="store_true", help="only count the jobs")
    add_json(parser)


def prune(args: Namespace) -> int:
    """Delete finished jobs by age or number."""
    with existing_queue(args) as queue:
        pruned = queue.prune(
            older_than=args.before,
            keep=args.keep,
            statuses=args.statuses or FINISHED,
            dry_run=args.dry_run,
        )
    counts = ", ".join(f"{count} {status}" for status, count in pruned.items())
    sentence = f"{'Would prune' if args.dry_run else 'Pruned'} {counts}."
    answer(args, {"pruned": pruned, "dry_run": args.dry_run}, sentence)
    return exit_codes.OK
