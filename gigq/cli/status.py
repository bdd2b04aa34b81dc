"""The command `gigq status`."""

from __future__ import annotations

from gigq.cli import exit_codes, job_ids, job_json, job_view, output, stored_output
from gigq.cli.answers import not_found
from gigq.cli.attempts import is_abandoned, why_abandoned
from gigq.cli.open_queue import queue_for_reading
from gigq.cli.options import Commands, Namespace, add_json, add_parser
from gigq.cli.why_waiting import why_waiting

_DETAILS = """\
For a pending job the answer says why it waits. After an attempt without
success it shows the cause, the exit code or signal, the resources that the
job used, and the end of its output."""


def add_command(commands: Commands) -> None:
    """Add the command's parser."""
    what, example = "show one job", "gigq status ID"
    parser = add_parser(commands, "status", status, what, example=example, details=_DETAILS)
    parser.add_argument("job_id", metavar="ID", help=job_ids.HELP)
    for option, what in (
        ("--show-params", "show its parameters"),
        ("--show-result", "show its result"),
        ("--show-executions", "show all its attempts"),
    ):
        parser.add_argument(option, action="store_true", help=what)
    add_json(parser)


def status(args: Namespace) -> int:
    """Show one job."""
    with queue_for_reading(args) as queue:
        found = queue.get_status(job_ids.full_id(queue, args.job_id))
        if not found["exists"]:
            return not_found(args, args.job_id)
        found["why_waiting"] = why_waiting(queue, found)
        last = found["executions"][-1:]
        is_lost = any(is_abandoned(queue, one) for one in last)
        found["why_abandoned"] = why_abandoned(queue) if is_lost else None
        found["host"] = stored_output.known_host_of(queue, last[0]) if last else None
    if args.json:
        output.print_json(job_json.job_with_executions(found))
    else:
        print("\n\n".join(job_view.parts(found, args)))
    return exit_codes.OK
