"""run, start, stop, restart."""

from __future__ import annotations

import importlib.util
import os
from pathlib import Path
from typing import TYPE_CHECKING

from gigq.model.units import format_duration
from gigqd import config as configuration
from gigqd import exit_codes, logs
from gigqd.cli.checking import refuse_as_a_start
from gigqd.cli.control_client import Client, NotAnswering, NotRunning, understand
from gigqd.cli.places import file_of_other, its_file, runtime_files_of, stop_timeout_of
from gigqd.cli.terminal import Result, complain, say
from gigqd.config import load
from gigqd.errors import ConfigError, GigqdError, unexpected
from gigqd.host import database_lock
from gigqd.host.daemonize import enter, start_detached
from gigqd.host.database_place import refuse_unusable_place
from gigqd.host.privileges import become
from gigqd.host.running_daemons import AlreadyRunning
from gigqd.host.runtime_files import RuntimeFiles
from gigqd.host.systemd import is_a_units_process

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable, Mapping
    from typing import Any

    from gigqd.config import Config, LogConfig
    from gigqd.host.daemonize import Readiness

log = logs.get_logger("gigqd.start")

_BEYOND_STOP_TIMEOUT = 10.0
_LOCK_RELEASED_WITHIN = 5.0
_SUMMARY = ("finished", "failed", "released", "unrecorded", "seconds")


def run(options: argparse.Namespace) -> int:
    """Be the daemon, in the foreground."""
    _require_psutil()
    if options.output:
        logs.show_output()
    config = load(options.config, os.environ)
    runtime_files = RuntimeFiles(config)
    try:
        become(config, runtime_files)
    except GigqdError as error:
        log.critical("start_failed", error=str(error), exit_code=error.exit_code)
        return _say_why(config, error)
    try:
        refuse_unusable_place(Path(config.queue.database))
    except GigqdError as error:
        logs.configure(config.log)
        log.critical("start_failed", error=str(error), exit_code=error.exit_code)
        return _say_why(config, error)
    with runtime_files:
        try:
            os.umask(config.daemon.umask)
            enter(config.daemon.working_directory)
            return _serve(config, runtime_files, config.log, _notify_none)
        except GigqdError as error:
            return _say_why(config, error)


def _say_why(config: Config, error: GigqdError) -> int:
    # Where the log is standard error it has said so, and every line of it parses.
    if config.log.file:
        complain(f"gigqd: {error}")
    return error.exit_code


def start(options: argparse.Namespace) -> int:
    """Be the launcher of a detached daemon."""
    _require_psutil()
    _refuse_in_a_unit()
    return _start(options).write(as_json=options.json)


def stop(options: argparse.Namespace) -> int:
    """Ask the daemon to end and wait until it has."""
    return _stop(options).write(as_json=options.json)


def restart(options: argparse.Namespace) -> int:
    """Stop and start; what would keep it from starting leaves the running daemon alone."""
    _require_psutil()
    _refuse_in_a_unit()
    config = load(options.config, os.environ)
    options.now, options.force, options.runtime_dir = False, False, None
    if (running := runtime_files_of(options).running()) is not None:
        try:
            refuse_as_a_start(config, running.pid, options.wait)
        except GigqdError as error:
            text = f"not restarted, the running daemon goes on: {error}"
            return Result(error.exit_code, text, {"pid": running.pid}).write(as_json=options.json)
    stopped = _stop(options)
    if stopped.code:
        return stopped.write(as_json=options.json)
    if not options.json:
        say(stopped.text)
    started = _start(options)
    facts = {**started.facts, "stopped": stopped.facts}
    return started._replace(facts=facts).write(as_json=options.json)


def _refuse_in_a_unit() -> None:
    if is_a_units_process():
        why = "a unit's process must not detach; use `gigqd run` in ExecStart"
        raise GigqdError(why, exit_code=exit_codes.USAGE)


# --- starting --------------------------------------------------------------------------------


def _start(options: argparse.Namespace, *, wait_for_another: bool = True) -> Result:
    config = load(options.config, os.environ)
    runtime_files = RuntimeFiles(config)
    try:
        launch = start_detached(config, runtime_files, _body(config, runtime_files), options.wait)
        if launch.code == exit_codes.ALREADY_RUNNING:  # another start was quicker
            runtime_files.refuse_taken()
    except AlreadyRunning as error:
        if error.deleted or getattr(options, "strict", False):
            raise
        if wait_for_another and _has_ended(runtime_files, options.wait):
            return _start(options, wait_for_another=False)
        return Result(exit_codes.OK, f"gigqd is {error}", {"pid": error.pid, "started": False})
    if launch.code:
        return Result(launch.code, launch.text, {"started": False})
    facts = {"pid": launch.pid, "log": str(runtime_files.log_path), "started": True}
    return Result(
        exit_codes.OK, f"gigqd started (pid {launch.pid}), log {runtime_files.log_path}", facts
    )


def _has_ended(runtime_files: RuntimeFiles, within: float) -> bool:
    """Wait for a daemon that is about to stop; return False at once when it goes on running.

    Raises:
        GigqdError: it has not ended within so many seconds.
    """
    client = Client(runtime_files)
    try:
        if client.ask("status")["state"] != "stopping":
            return False
    except NotRunning:
        return True
    except NotAnswering:
        return False
    if not client.wait_until_gone(within):
        text = f"the daemon that runs is still stopping after {within:g} s; none was started"
        raise GigqdError(text, exit_code=exit_codes.FAILED)
    return True


# --- the daemon ------------------------------------------------------------------------------


def _body(config: Config, runtime_files: RuntimeFiles) -> Callable[[Readiness], int]:
    def body(readiness: Readiness) -> int:
        log_config = config.log.replace(file=runtime_files.log_path)
        return _serve(config, runtime_files, log_config, lambda: readiness.ready(os.getpid()))

    return body


def _serve(
    config: Config, runtime_files: RuntimeFiles, log_config: LogConfig, on_ready: Callable[[], None]
) -> int:
    logs.configure(log_config)
    try:
        return _supervise(config, runtime_files, on_ready)
    except GigqdError as error:
        log.critical("start_failed", error=str(error), exit_code=error.exit_code)
        raise
    except Exception as error:
        defect = unexpected(error)
        code = defect.exit_code
        log.critical("daemon_failed", error=str(defect), exit_code=code, exc_info=True)
        raise defect from error


def _supervise(config: Config, runtime_files: RuntimeFiles, on_ready: Callable[[], None]) -> int:
    from gigqd.supervisor.loop import Supervisor

    if (stale := runtime_files.stale_pid()) is not None:
        log.warning("stale_pidfile", path=str(runtime_files.pid_path), stale_pid=stale)
    for warning in configuration.warnings(config):
        log.warning("config_warning", warning=warning)
    database_lock.take(Path(config.queue.database), config.daemon.name)
    return Supervisor(config, runtime_files, on_ready).run()


def _notify_none() -> None:
    """In the foreground only systemd is notified, by the supervisor."""


def _require_psutil() -> None:
    """Refuse to start without psutil, or with one that is too old.

    The installer's folder names the version: an import would take a tenth of the start.
    """
    spec = importlib.util.find_spec("psutil")
    if spec is None or spec.origin is None:
        raise GigqdError("psutil is missing; install 7.1 or newer")
    for installed in Path(spec.origin).parents[1].glob("psutil-*-info"):
        found = [int(part) for part in installed.name[7:].split(".")[:2] if part.isdigit()]
        if found < [7, 1]:
            raise GigqdError(f"psutil {'.'.join(map(str, found))} is too old; install 7.1 or newer")


# --- stopping --------------------------------------------------------------------------------


def _stop(options: argparse.Namespace) -> Result:
    runtime_files = runtime_files_of(options)
    client = Client(runtime_files)
    other = file_of_other(runtime_files, options)
    if runtime_files.running() is None:
        pid = runtime_files.stale_pid()
        text = "gigqd is not running" + (f" (stale pid file: {pid})" if pid else "")
        return Result(exit_codes.OK, text, {"state": "stopped", "stale_pid": pid})
    if options.force:
        return _force(client, runtime_files, options)
    try:
        client.ask("status")
        within = stop_timeout_of(options) + _BEYOND_STOP_TIMEOUT
        answer = client.stop(now=options.now, within=within)
    except NotRunning:  # it has ended while it was looked for, as by another stop
        return Result(
            exit_codes.OK, "gigqd is not running", {"state": "stopped", "stale_pid": None}
        )
    except NotAnswering as error:
        return _not_stopped(client, error)
    result = understand(_stop_summary, answer)
    return result._replace(text=f"{result.text}\n{its_file(other)}") if other else result


def _stop_summary(answer: Mapping[str, Any]) -> Result:
    finished, released = answer["finished"], answer["released"]
    text = (
        f"gigqd stopped in {format_duration(answer['seconds'])}: {finished} running "
        f"{'job' if finished == 1 else 'jobs'} finished, {released} released"
    )
    if failed := answer.get("failed"):
        text += f", {failed} failed"
    if unrecorded := answer.get("unrecorded"):
        text += f", {unrecorded} for the next start to settle"
    if answer["code"] == exit_codes.LEFT_BEHIND:
        text += "; some processes could not be killed, the log names them"
    return Result(answer["code"], text, {key: answer[key] for key in _SUMMARY if key in answer})


def _not_stopped(client: Client, error: NotAnswering) -> Result:
    if client.wait_until_gone(_LOCK_RELEASED_WITHIN):  # it may be just about to
        text = "gigqd ended without a word about its jobs; the next start settles them"
        return Result(exit_codes.OK, text)
    text = f"not stopped: {error}; `gigqd stop --force` kills it and its jobs"
    return Result(exit_codes.FAILED, text)


def _force(client: Client, runtime_files: RuntimeFiles, options: argparse.Namespace) -> Result:
    """SIGKILL the daemon and whatever its jobs have left; the next start settles the jobs."""
    pid = client.kill()
    client.wait_until_gone(_LOCK_RELEASED_WITHIN)
    text = (
        f"gigqd (pid {pid}) killed, and {_sweep(runtime_files, options)} left of its jobs; "
        "the next start settles what was running"
    )
    return Result(exit_codes.OK, text, {"killed": pid})


def _sweep(runtime_files: RuntimeFiles, options: argparse.Namespace) -> str:
    """End the processes that the jobs of the killed daemon have left; says how many there were."""
    from gigqd.process.orphan_cleanup import end_leftovers
    from gigqd.process.process_tag import home_of

    try:
        database = _database_of(runtime_files) or load(options.config, os.environ).queue.database
        count = end_leftovers(Path(database), home_of(database))
    except ConfigError:
        return "not looked for what is"
    except TimeoutError as error:
        raise GigqdError(str(error), exit_code=exit_codes.LEFT_BEHIND) from error
    return f"{count} {'process' if count == 1 else 'processes'}"


def _database_of(runtime_files: RuntimeFiles) -> str | None:
    return runtime_files.identity.database if runtime_files.identity else None
