"""The command `gigqd start`."""

from __future__ import annotations

import os
from functools import partial
from typing import TYPE_CHECKING

from gigq.model.units import format_duration
from gigqd import exit_codes
from gigqd.cli.control_client import Client, NotAnswering, NotRunning
from gigqd.cli.options import (
    Commands,
    Namespace,
    add_flag,
    add_json,
    add_parser,
    add_wait,
    longest_wait,
)
from gigqd.cli.output import Result, print_error
from gigqd.cli.run import serve
from gigqd.cli.start_checks import refuse_in_a_unit, refuse_unusable_host
from gigqd.config import load
from gigqd.errors import GigqdError
from gigqd.host.daemonize import start_detached
from gigqd.host.running_daemons import AlreadyRunning
from gigqd.host.runtime_files import RuntimeFiles

if TYPE_CHECKING:
    from collections.abc import Callable

    from gigqd.config import Config
    from gigqd.host.daemonize import Readiness

_DETAILS = """\
If no worker becomes ready, the daemon ends and the command reports the reason.
If the daemon is stopping, the command first waits for its end."""


def add_command(commands: Commands) -> None:
    """Add the command's parser."""
    what = "start in the background, and return when the first worker is ready"
    parser = add_parser(commands, "start", start, what, _DETAILS)
    add_wait(parser)
    add_flag(parser, "--strict", "fail with exit code 75 if the daemon already runs")
    add_json(parser)


def start(options: Namespace) -> int:
    """Start a detached daemon, and wait until it is ready."""
    refuse_unusable_host()
    refuse_in_a_unit()
    return start_daemon(options).write(as_json=options.json)


def start_daemon(options: Namespace, *, wait_for_another: bool = True) -> Result:
    """Start a detached daemon; wait for one that is stopping to end first."""
    config = load(options.config, os.environ)
    runtime_files, wait = RuntimeFiles(config), longest_wait(options, config)
    try:
        daemon, show = _daemon(config, runtime_files), partial(_show_wait, config)
        launch = start_detached(config, runtime_files, daemon, wait, show)
        if launch.code == exit_codes.ALREADY_RUNNING:  # another start was quicker
            runtime_files.refuse_taken()
    except AlreadyRunning as error:
        if error.deleted or getattr(options, "strict", False):
            raise
        if wait_for_another and _has_ended(runtime_files, wait):
            return start_daemon(options, wait_for_another=False)
        return Result(exit_codes.OK, f"gigqd is {error}", {"pid": error.pid, "started": False})
    if launch.code:
        return Result(launch.code, launch.text, {"started": False})
    facts = {"pid": launch.pid, "log": str(runtime_files.log_path), "started": True}
    return Result(
        exit_codes.OK, f"gigqd started (pid {launch.pid}), log {runtime_files.log_path}", facts
    )


def _show_wait(config: Config, reason: str) -> None:
    longest = format_duration(config.daemon.start_timeout)
    print_error(f"gigqd: the start waits for the database, for {longest} at most: {reason}")


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


def _daemon(config: Config, runtime_files: RuntimeFiles) -> Callable[[Readiness], int]:
    def run_daemon(readiness: Readiness) -> int:
        log_config = config.log.replace(file=runtime_files.log_path)
        return serve(config, runtime_files, log_config, readiness)

    return run_daemon
