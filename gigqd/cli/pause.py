"""The commands `gigqd pause` and `gigqd resume`."""

from __future__ import annotations

from gigqd import exit_codes
from gigqd.cli.control_client import Client
from gigqd.cli.find_daemon import runtime_files_of
from gigqd.cli.options import Commands, Namespace, add_parser, add_request_options
from gigqd.cli.output import Result

_TIMEOUT = 5.0

_DETAILS = """\
A pause lasts until `gigqd resume` or the next start of the daemon. The limits
of running jobs still apply."""


def add_command(commands: Commands) -> None:
    """Add the parsers of both commands."""
    for name, handler, what, details in (
        ("pause", pause, "start no more jobs; running jobs continue", _DETAILS),
        ("resume", resume, "start jobs again after a pause", ""),
    ):
        parser = add_parser(commands, name, handler, what, details)
        add_request_options(parser, _TIMEOUT)


def pause(options: Namespace) -> int:
    """Request that the daemon starts no more jobs; no change when it is paused already."""
    text = "gigqd is paused: it starts no jobs until `gigqd resume`; running jobs continue"
    return _request("pause", options, text)


def resume(options: Namespace) -> int:
    """Request that the daemon starts jobs again; no change when it is not paused."""
    return _request("resume", options, "gigqd starts jobs again")


def _request(command: str, options: Namespace, text: str) -> int:
    answer = Client(runtime_files_of(options)).ask(command, within=options.timeout)
    if not answer["ok"]:
        refused = Result(answer["code"], f"{command} refused: {answer['error']}")
        return refused.write(as_json=options.json)
    paused = {"paused": bool(answer.get("paused"))}
    return Result(exit_codes.OK, text, paused).write(as_json=options.json)
