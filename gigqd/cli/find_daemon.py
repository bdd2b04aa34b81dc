"""Find the daemon that a command means, and its runtime files."""

from __future__ import annotations

import os
import time
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from gigq.model import paths_with_links
from gigqd.cli.control_client import NotAnswering
from gigqd.config import DaemonConfig, config_path, identify
from gigqd.errors import ConfigError, Problem
from gigqd.host import database_lock, running_daemons
from gigqd.host.identity import Identity, overrides_of
from gigqd.host.running_daemons import AnotherDaemon, Match
from gigqd.host.runtime_files import RuntimeFiles

if TYPE_CHECKING:
    import argparse

_NAME = "GIGQD_DAEMON__NAME"
_ENDS_WITHIN = 1.0
_POLL_INTERVAL = 0.02


def use_name(options: argparse.Namespace) -> None:
    """Prefer --name to the file, for this process and for the daemon that it may become."""
    if options.name is not None:
        os.environ[_NAME] = options.name


def runtime_files_of(options: argparse.Namespace) -> RuntimeFiles:
    """Return the runtime files of the daemon that a command means, in any directory.

    The command means the daemon that runs the configuration file, or its database under its name.
    With --runtime-dir it means the one in that directory, and ignores the file.

    Raises:
        AnotherDaemon: another daemon has its files where this one's would be.
        ConfigError: the file cannot be parsed, and --runtime-dir does not replace it.
        NotAnswering: the daemon runs, and its files cannot be found.
    """
    if options.runtime_dir is not None:
        return RuntimeFiles(_given(options))
    try:
        configured = RuntimeFiles(identify(options.config, os.environ))
    except ConfigError as error:
        return _of_unreadable_file(options, error)
    wanted = configured.identity
    assert wanted is not None
    found = configured.find_configured()
    if found is None:
        _refuse_hidden(wanted)
        return configured
    if found.identity and found.match(wanted) is Match.OTHER:
        raise AnotherDaemon(found, found.identity, wanted)
    return RuntimeFiles.of_running(found) if found.identity else configured


def note_of_other_file(runtime_files: RuntimeFiles, options: argparse.Namespace) -> str:
    """Return a line about the configuration of the found daemon, when the command names another."""
    with suppress(ConfigError):
        wanted = RuntimeFiles(identify(options.config, os.environ)).identity
        found = runtime_files.identity
        if wanted and found and options.runtime_dir is None:
            file = found.other_file_than(wanted)
            same = "with the same database and name"
            return f"\nthis daemon runs the configuration {file}, {same}" if file else ""
    return ""


def _of_unreadable_file(options: argparse.Namespace, error: ConfigError) -> RuntimeFiles:
    """Return the runtime files of the daemon that runs a file which cannot be read any more."""
    path = options.config or config_path(os.environ)
    if path is not None:
        wanted = Identity(paths_with_links.absolute(str(path)), "", "", overrides_of(os.environ))
        found = running_daemons.find_of_file(wanted)
        if found is not None:
            return RuntimeFiles.of_running(found)
    remedy = "without the file, a running daemon is reached with --runtime-dir"
    raise ConfigError([*error.problems, Problem(None, None, "", remedy)]) from error


def _given(options: argparse.Namespace) -> DaemonConfig:
    directory = options.runtime_dir.absolute()
    name = options.name or "default"
    return DaemonConfig(name=name, runtime_dir=directory, working_directory=directory)


def _refuse_hidden(wanted: Identity) -> None:
    """Refuse to report a daemon as stopped that holds the lock on the database.

    A daemon that is just ending holds it until its process is gone.
    """
    deadline = time.monotonic() + _ENDS_WITHIN
    while (pid := database_lock.holder(Path(wanted.place), wanted.name)) is not None:
        if time.monotonic() > deadline:
            raise NotAnswering(
                f'a gigqd named "{wanted.name}" ({database_lock.as_text(pid)}) serves '
                f"{wanted.database}, but its runtime files cannot be seen from here; name "
                "their directory with --runtime-dir"
            )
        time.sleep(_POLL_INTERVAL)
