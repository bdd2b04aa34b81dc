"""The command `gigqd stop`."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from gigq.model.units import format_duration
from gigqd import exit_codes
from gigqd.cli.control_client import Client, NotAnswering, NotRunning, understand
from gigqd.cli.find_daemon import note_of_other_file, runtime_files_of
from gigqd.cli.options import Commands, Namespace, add_flag, add_json, add_parser, add_runtime_dir
from gigqd.cli.output import Result
from gigqd.config import identify, load
from gigqd.errors import ConfigError, GigqdError
from gigqd.host.identity import identity_of

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    from gigqd.host.runtime_files import RuntimeFiles


_BEYOND_STOP_TIMEOUT = 10.0
_DEFAULT_STOP_TIMEOUT = 30.0
_LOCK_RELEASED_WITHIN = 5.0
_SUMMARY = ("finished", "failed", "released", "unrecorded", "seconds")

_DETAILS = """\
The daemon claims no more jobs, and interrupts jobs that still run after
daemon.stop_timeout. The command returns when the daemon has ended. It is not
an error if no daemon runs."""


def add_command(commands: Commands) -> None:
    """Add the command's parser."""
    parser = add_parser(commands, "stop", stop, "let running jobs finish, then stop", _DETAILS)
    add_flag(parser, "--now", "interrupt running jobs at once; those with attempts left run again")
    add_flag(
        parser,
        "--force",
        "kill a daemon that does not answer; the next start settles its jobs",
    )
    add_json(parser)
    add_runtime_dir(parser)


def stop(options: Namespace) -> int:
    """Request that the daemon stops, and wait until it has ended."""
    return stop_daemon(options).write(as_json=options.json)


def stop_daemon(options: Namespace) -> Result:
    """Stop the daemon; a daemon that does not run is no error."""
    runtime_files = runtime_files_of(options)
    client = Client(runtime_files)
    note = note_of_other_file(runtime_files, options)
    if runtime_files.running() is None:
        pid = runtime_files.stale_pid()
        text = "gigqd is not running" + (f" (stale pid file: {pid})" if pid else "")
        return Result(exit_codes.OK, text, {"state": "stopped", "stale_pid": pid})
    if options.force:
        return _force(client, runtime_files, options)
    try:
        client.ask("status")
        within = _stop_timeout(options) + _BEYOND_STOP_TIMEOUT
        answer = client.stop(now=options.now, within=within)
    except NotRunning:  # it has ended since it was found, for example after another stop
        return Result(
            exit_codes.OK, "gigqd is not running", {"state": "stopped", "stale_pid": None}
        )
    except NotAnswering as error:
        return _not_stopped(client, error)
    result = understand(_stop_summary, answer)
    return result._replace(text=result.text + note)


def _stop_timeout(options: Namespace) -> float:
    """Return the seconds that a stop may take, as the file says now or by default."""
    if options.runtime_dir is None:
        with suppress(ConfigError):
            return identify(options.config, os.environ).daemon.stop_timeout
    return _DEFAULT_STOP_TIMEOUT


def _stop_summary(answer: Mapping[str, Any]) -> Result:
    finished, released = answer["finished"], answer["released"]
    text = (
        f"gigqd stopped in {format_duration(answer['seconds'])}: {finished} running "
        f"{'job' if finished == 1 else 'jobs'} finished, {released} released"
    )
    if failed := answer.get("failed"):
        text += f", {failed} failed"
    if unrecorded := answer.get("unrecorded"):
        text += f", {unrecorded} without a recorded outcome, for the next start to settle"
    if answer["code"] == exit_codes.LEFT_BEHIND:
        text += "; some processes could not be killed, the log names them"
    return Result(answer["code"], text, {key: answer[key] for key in _SUMMARY if key in answer})


def _not_stopped(client: Client, error: NotAnswering) -> Result:
    if client.wait_until_gone(_LOCK_RELEASED_WITHIN):  # it may be ending
        text = "gigqd ended without a report of its jobs; the next start settles them"
        return Result(exit_codes.OK, text)
    text = f"not stopped: {error}; `gigqd stop --force` kills it and its jobs"
    return Result(exit_codes.FAILED, text)


def _force(client: Client, runtime_files: RuntimeFiles, options: Namespace) -> Result:
    """SIGKILL the daemon and what its jobs have left; the next start settles the jobs."""
    pid = client.kill()
    client.wait_until_gone(_LOCK_RELEASED_WITHIN)
    text = (
        f"gigqd (pid {pid}) killed, and {_end_orphans(runtime_files, options)}; "
        "the next start settles the jobs that were running"
    )
    return Result(exit_codes.OK, text, {"killed": pid})


def _end_orphans(runtime_files: RuntimeFiles, options: Namespace) -> str:
    """End the processes that the jobs of the daemon have left; return their number in words."""
    from gigq.store.sqlite.processes import run_locks
    from gigqd.process.orphan_cleanup import kill_orphans
    from gigqd.process.process_tag import home_of, home_with

    try:
        identity = runtime_files.identity or identity_of(
            load(options.config, os.environ), os.environ
        )
        place = Path(identity.place)
        is_file = not identity.place_on_host
        home = home_of(place) if is_file else home_with(run_locks.id_of_lock_file(place))
        count = kill_orphans(place, home)
    except ConfigError:
        return "no search was made for what its jobs have left"
    except TimeoutError as error:
        raise GigqdError(str(error), exit_code=exit_codes.LEFT_BEHIND) from error
    return f"{count} {'process' if count == 1 else 'processes'} that its jobs had left"
