"""The command `gigqd run`, and the daemon's process itself."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from gigqd import config as configuration
from gigqd import logs
from gigqd.cli.options import Commands, Namespace, add_flag, add_parser
from gigqd.cli.output import print_error
from gigqd.cli.start_checks import refuse_unusable_host
from gigqd.config import load
from gigqd.errors import GigqdError, unexpected
from gigqd.host import database_lock
from gigqd.host.daemonize import NoLauncher, enter
from gigqd.host.database_location import refuse_unusable_place
from gigqd.host.privileges import become
from gigqd.host.runtime_files import RuntimeFiles

if TYPE_CHECKING:
    from gigqd.config import Config, LogConfig
    from gigqd.host.daemonize import Launcher


log = logs.get_logger(__name__)

_DETAILS = """\
On a terminal the log has short lines instead of JSON."""


def add_command(commands: Commands) -> None:
    """Add the command's parser."""
    what = "run in the foreground, for systemd and containers"
    parser = add_parser(commands, "run", run, what, _DETAILS)
    add_flag(parser, "--output", "log also the output of each attempt")


def run(options: Namespace) -> int:
    """Run the daemon in the foreground."""
    refuse_unusable_host()
    if options.output:
        logs.show_output()
    config = load(options.config, os.environ)
    runtime_files = RuntimeFiles(config)
    try:
        become(config, runtime_files)
    except GigqdError as error:
        log.critical("start_failed", error=str(error), exit_code=error.exit_code)
        return _report(config, error)
    try:
        refuse_unusable_place(config.database_file)
    except GigqdError as error:
        logs.configure(config.log)
        log.critical("start_failed", error=str(error), exit_code=error.exit_code)
        return _report(config, error)
    with runtime_files:
        try:
            os.umask(config.daemon.umask)
            enter(config.daemon.working_directory)
            return serve(config, runtime_files, config.log, NoLauncher())
        except GigqdError as error:
            return _report(config, error)


def _report(config: Config, error: GigqdError) -> int:
    # A log on standard error has the error already, and every line of it must parse.
    if config.log.file:
        print_error(f"gigqd: {error}")
    return error.exit_code


def serve(
    config: Config, runtime_files: RuntimeFiles, log_config: LogConfig, launcher: Launcher
) -> int:
    """Run the supervisor with a log of its errors, in this process."""
    logs.configure(log_config)
    try:
        return _supervise(config, runtime_files, launcher)
    except GigqdError as error:
        log.critical("start_failed", error=str(error), exit_code=error.exit_code)
        raise
    except Exception as error:
        defect = unexpected(error)
        code = defect.exit_code
        log.critical("daemon_failed", error=str(defect), exit_code=code, exc_info=True)
        raise defect from error


def _supervise(config: Config, runtime_files: RuntimeFiles, launcher: Launcher) -> int:
    from gigqd.supervisor.loop import Supervisor

    if (stale := runtime_files.stale_pid()) is not None:
        log.warning("stale_pidfile", path=str(runtime_files.pid_path), stale_pid=stale)
    for warning in configuration.warnings(config):
        log.warning("config_warning", warning=warning)
    database_lock.take(config.place, config.daemon.name)
    return Supervisor(config, runtime_files, launcher).run()
