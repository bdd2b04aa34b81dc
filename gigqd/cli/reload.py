"""The command `gigqd reload`."""

from __future__ import annotations

import os
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from gigqd import exit_codes
from gigqd.cli.control_client import Client, NotAnswering, understand
from gigqd.cli.daemon_view import job_of
from gigqd.cli.find_daemon import note_of_other_file, runtime_files_of
from gigqd.cli.options import Commands, Namespace, add_flag, add_parser, add_request_options
from gigqd.cli.output import Result
from gigqd.cli.start_checks import check_database
from gigqd.config import config_path, load
from gigqd.errors import ConfigError, GigqdError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from gigqd.host.runtime_files import RuntimeFiles


_TIMEOUT = 60.0
_POLL_INTERVAL = 0.05
_REWRITTEN_WITHIN = 2.0
_REFUSED = (
    "reload refused; the daemon is unchanged, but a worker replaced later imports the code on disk"
)
_TITLES = {
    "applied": "applied at once",
    "recycled": "applied by new workers",
    "restart": "needs `gigqd restart`",
}

_DETAILS = """\
No job is interrupted. The command returns when a worker runs with the new
configuration and code. An invalid configuration, or code that cannot be
imported, changes nothing."""


def add_command(commands: Commands) -> None:
    """Add the command's parser."""
    what = "load the configuration and code on disk"
    parser = add_parser(commands, "reload", reload, what, _DETAILS)
    add_flag(parser, "--wait", "return once no worker with the old configuration or code is left")
    add_request_options(parser, _TIMEOUT)


def reload(options: Namespace) -> int:
    """Request that the daemon loads the configuration on disk, and print what it does."""
    runtime_files = _runtime_files(options)
    client, note = Client(runtime_files), note_of_other_file(runtime_files, options)
    note += "; `gigqd restart` has it run this one" if note else ""
    deadline = time.monotonic() + options.timeout
    try:
        answer = client.ask("reload", within=options.timeout)
    except NotAnswering as error:
        return _judge_silence(client, error, options).write(as_json=options.json)
    if not answer["ok"]:
        text = f"{_REFUSED}:\n{answer['error']}{note}"
        return Result(answer["code"], text).write(as_json=options.json)
    text = understand(_changes, answer) + note + _unusable_database(answer, options)
    facts = {key: answer.get(key) for key in ("generation", *_TITLES)}
    result = Result(exit_codes.OK, text, facts)
    if options.wait:
        result = _wait_for_workers(client, result, deadline, options.timeout)
    return result.write(as_json=options.json)


def _runtime_files(options: Namespace) -> RuntimeFiles:
    """Return the daemon's runtime files; a file that is just being rewritten is read again.

    Raises:
        ConfigError: as `runtime_files_of`.
    """
    deadline = time.monotonic() + _REWRITTEN_WITHIN
    while True:
        try:
            return runtime_files_of(options)
        except ConfigError:
            if time.monotonic() >= deadline or not _was_just_changed(options):
                raise
        time.sleep(_POLL_INTERVAL)


def _was_just_changed(options: Namespace) -> bool:
    path = options.config or config_path(os.environ)
    try:
        return path is not None and time.time() - path.stat().st_mtime < _REWRITTEN_WITHIN
    except OSError:
        return False


def _unusable_database(answer: Mapping[str, Any], options: Namespace) -> str:
    """Return a warning when the file names a database which the next start would refuse."""
    if options.runtime_dir is not None or "queue.database" not in answer["restart"]:
        return ""
    with suppress(GigqdError):
        found = check_database(load(options.config, os.environ))
        return f"\nwarning: a restart would be refused: {found['text']}" if found["code"] else ""
    return ""


def _judge_silence(client: Client, error: NotAnswering, options: Namespace) -> Result:
    """Return the reason for a missing answer: a slow check of the configuration, or a defect."""
    try:
        client.ask("status", within=1.0)
    except NotAnswering:
        return Result(error.exit_code, f"{error}; the daemon drops the request; try again")
    text = (
        f"a worker with the new configuration is not up after {options.timeout:g} s; the daemon "
        "continues to try it; the log shows the result"
    )
    return Result(exit_codes.FAILED, text)


def _changes(answer: Mapping[str, Any]) -> str:
    lines = [f"{text}: {', '.join(answer[key])}" for key, text in _TITLES.items() if answer[key]]
    return "\n".join(
        ["gigqd reloaded" if lines else "gigqd reloaded: code reloaded, no key changed", *lines]
    )


def _wait_for_workers(client: Client, result: Result, deadline: float, timeout: float) -> Result:
    """Wait until every worker has the new configuration and is ready."""
    generation = result.facts["generation"]
    while True:
        status = client.ask("status")
        left = understand(lambda answer: _outdated(answer, generation), status)
        if status.get("reason") and any(slot["state"] == "backoff" for slot in left):
            text = f"reloaded, but the new workers do not come up: {status['reason']}"
            return Result(exit_codes.INTERNAL_ERROR, text, result.facts)
        if not left:
            return result
        if time.monotonic() > deadline:
            return _too_late(left, result, timeout)
        time.sleep(_POLL_INTERVAL)


def _outdated(status: Mapping[str, Any], generation: int) -> list[Mapping[str, Any]]:
    """Return the slots whose worker has an old configuration, or is not ready."""
    workers = [slot for slot in status["slots"] if slot["role"] == "worker"]
    return [
        slot
        for slot in workers
        if (slot.get("configuration") or 0) < generation or slot["state"] == "booting"
    ]


def _too_late(left: list[Mapping[str, Any]], result: Result, timeout: float) -> Result:
    slots = ", ".join(f"{slot['slot']} ({slot['state']}, {job_of(slot)})" for slot in left)
    text = (
        f"reloaded, but after {timeout:g} s these still have the old configuration: {slots}; "
        "each is replaced after its job"
    )
    return Result(exit_codes.FAILED, text, {**result.facts, "old": [slot["slot"] for slot in left]})
