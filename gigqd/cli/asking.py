"""status, pause, resume and reload: the requests to a running daemon."""

from __future__ import annotations

import os
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from gigqd import exit_codes
from gigqd.cli.checking import try_database
from gigqd.cli.control_client import Client, NotAnswering, NotRunning, understand
from gigqd.cli.describing import describe, job_of
from gigqd.cli.places import file_of_other, its_file, runtime_files_of
from gigqd.cli.terminal import Result, say, say_json, width
from gigqd.config import config_path, load
from gigqd.errors import ConfigError, GigqdError
from gigqd.host import pidfile

if TYPE_CHECKING:
    import argparse
    from collections.abc import Mapping

    from gigqd.host.runtime_files import RuntimeFiles

STATUS_WITHIN = 0.8
"""Seconds: with the start of the command itself, the answer is there within one."""

_LOOK = 0.05
_REWRITTEN_WITHIN = 2.0
_TITLES = {
    "applied": "applied at once",
    "recycled": "applied by new workers",
    "restart": "needs `gigqd restart`",
}


def status(options: argparse.Namespace) -> int:
    """Show the daemon; the exit code is what the LSB wants of an init script's status."""
    try:
        runtime_files = runtime_files_of(options)
    except GigqdError as error:
        return _report_unknown(None, error, as_json=options.json)
    try:
        answer = Client(runtime_files).ask("status", within=options.timeout)
        text = understand(lambda answer: describe(answer, width()), answer)
    except NotRunning:
        return _report_not_running(runtime_files, as_json=options.json)
    except GigqdError as error:
        return _report_unknown(runtime_files, error, as_json=options.json)
    if options.json:
        say_json(answer)
    else:
        say(text)
    return exit_codes.OK


def pause(options: argparse.Namespace) -> int:
    """Have the daemon start no more jobs; asking again changes nothing."""
    text = "gigqd is paused: it starts no jobs until `gigqd resume`; running ones go on"
    return _ask_for("pause", options, text)


def resume(options: argparse.Namespace) -> int:
    """Have the daemon start jobs again; asking one that is not paused changes nothing."""
    return _ask_for("resume", options, "gigqd starts jobs again")


def _ask_for(command: str, options: argparse.Namespace, text: str) -> int:
    answer = Client(runtime_files_of(options)).ask(command, within=options.timeout)
    if not answer["ok"]:
        refused = Result(answer["code"], f"{command} refused: {answer['error']}")
        return refused.write(as_json=options.json)
    paused = {"paused": bool(answer.get("paused"))}
    return Result(exit_codes.OK, text, paused).write(as_json=options.json)


def _report_not_running(runtime_files: RuntimeFiles, *, as_json: bool) -> int:
    left = os.path.lexists(runtime_files.pid_path)
    pid = pidfile.read(runtime_files.pid_path)
    code = exit_codes.STATUS_STALE if left else exit_codes.STATUS_STOPPED
    if as_json:
        state = "dead" if left else "stopped"
        say_json({"ok": False, "code": code, "state": state, "stale_pid": pid})
    elif left:
        who = f" (pid {pid})" if pid else ""
        say(f"gigqd is not running, but its pid file is left{who}: {runtime_files.pid_path}")
    else:
        say("gigqd is not running")
    return code


def _report_unknown(runtime_files: RuntimeFiles | None, error: GigqdError, *, as_json: bool) -> int:
    code = exit_codes.STATUS_UNKNOWN
    if as_json:
        known = (
            runtime_files.running() if runtime_files and isinstance(error, NotAnswering) else None
        )
        facts = {"state": "not answering", "pid": known.pid if known else None}
        say_json({"ok": False, "code": code, "error": str(error), **facts})
    else:
        say(f"gigqd: {error}")
    return code


# --- reload ----------------------------------------------------------------------------------


def reload(options: argparse.Namespace) -> int:
    """Have the daemon take the configuration that is on disk, or say why it does not."""
    runtime_files = _runtime_files(options)
    client, other = Client(runtime_files), file_of_other(runtime_files, options)
    deadline = time.monotonic() + options.timeout
    try:
        answer = client.ask("reload", within=options.timeout)
    except NotAnswering as error:
        return _judge_silence(client, error, options).write(as_json=options.json)
    if not answer["ok"]:
        text = f"reload refused, nothing has changed:\n{answer['error']}{_note(other)}"
        return Result(answer["code"], text).write(as_json=options.json)
    text = understand(_taken, answer) + _note(other) + _unusable_database(answer, options)
    result = Result(exit_codes.OK, text, _status(answer))
    if options.wait:
        result = _wait_for_workers(client, result, deadline, options.timeout)
    return result.write(as_json=options.json)


def _runtime_files(options: argparse.Namespace) -> RuntimeFiles:
    """Return the daemon that is meant; a file that is just being rewritten is read again.

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
        time.sleep(_LOOK)


def _was_just_changed(options: argparse.Namespace) -> bool:
    path = options.config or config_path(os.environ)
    try:
        return path is not None and time.time() - path.stat().st_mtime < _REWRITTEN_WITHIN
    except OSError:
        return False


def _note(other: str | None) -> str:
    return f"\n{its_file(other)}; `gigqd restart` has it run this one" if other else ""


def _unusable_database(answer: Mapping[str, Any], options: argparse.Namespace) -> str:
    """Return a warning when the file names a database which the next start would refuse."""
    if options.runtime_dir is not None or "queue.database" not in answer["restart"]:
        return ""
    with suppress(GigqdError):
        found = try_database(load(options.config, os.environ))
        return f"\nwarning: a restart would be refused: {found['text']}" if found["code"] else ""
    return ""


def _judge_silence(client: Client, error: NotAnswering, options: argparse.Namespace) -> Result:
    """Whether the daemon still tries the new configuration, or does nothing at all."""
    try:
        client.ask("status", within=1.0)
    except NotAnswering:
        return Result(error.exit_code, f"{error}; the daemon drops the request, try again")
    text = (
        f"a worker with the new configuration is not up after {options.timeout:g} s; the daemon "
        "goes on trying it, and the log tells how that ends"
    )
    return Result(exit_codes.FAILED, text)


def _status(answer: Mapping[str, Any]) -> dict[str, Any]:
    return {key: answer.get(key) for key in ("generation", *_TITLES)}


def _taken(answer: Mapping[str, Any]) -> str:
    lines = [f"{text}: {', '.join(answer[key])}" for key, text in _TITLES.items() if answer[key]]
    return "\n".join(
        ["gigqd reloaded" if lines else "gigqd reloaded: code reloaded, no key changed", *lines]
    )


# --- waiting for the workers -----------------------------------------------------------------


def _wait_for_workers(client: Client, result: Result, deadline: float, timeout: float) -> Result:
    """Wait until every worker has the new configuration and is up."""
    generation = result.facts["generation"]
    while True:
        status = client.ask("status")
        left = understand(lambda answer: _not_yet(answer, generation), status)
        if status.get("reason") and any(slot["state"] == "backoff" for slot in left):
            text = f"reloaded, but the new workers do not come up: {status['reason']}"
            return Result(exit_codes.INTERNAL_ERROR, text, result.facts)
        if not left:
            return result
        if time.monotonic() > deadline:
            return _too_late(left, result, timeout)
        time.sleep(_LOOK)


def _not_yet(status: Mapping[str, Any], generation: int) -> list[Mapping[str, Any]]:
    """The slots whose worker is an old one, or not up yet."""
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
