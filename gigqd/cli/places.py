"""Which daemon a command means, and where its runtime files are."""

from __future__ import annotations

import os
import time
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from gigq.model import paths_with_links
from gigqd.cli.control_client import NotAnswering
from gigqd.config import DaemonConfig, config_path, identify, locate
from gigqd.errors import ConfigError, Problem
from gigqd.host import database_lock, running_daemons
from gigqd.host.identity import Identity, overrides_of
from gigqd.host.running_daemons import AnotherDaemon, Match
from gigqd.host.runtime_files import RuntimeFiles

if TYPE_CHECKING:
    import argparse

_NAME = "GIGQD_DAEMON__NAME"
_ENDS_WITHIN = 1.0
_LOOK = 0.02
_DEFAULT_STOP_TIMEOUT = 30.0


def use_name(options: argparse.Namespace) -> None:
    """Let --name win over the file, for this process and for the daemon that it may become."""
    if options.name is not None:
        os.environ[_NAME] = options.name


def runtime_files_of(options: argparse.Namespace) -> RuntimeFiles:
    """Return the runtime files of the daemon that a command means, wherever it keeps them.

    A daemon is meant that runs the configuration file, or its database under its name. With
    --runtime-dir it is the one in that directory, and nothing else of the file counts.

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
    found = configured.meant()
    if found is None:
        _refuse_hidden(wanted)
        return configured
    if found.identity and found.match(wanted) is Match.OTHER:
        raise AnotherDaemon(found, found.identity, wanted)
    return RuntimeFiles.of_running(found) if found.identity else configured


def file_of_other(runtime_files: RuntimeFiles, options: argparse.Namespace) -> str | None:
    """Return the configuration that the found daemon runs, when the command names another one."""
    with suppress(ConfigError):
        wanted = RuntimeFiles(identify(options.config, os.environ)).identity
        if wanted and runtime_files.identity and options.runtime_dir is None:
            return runtime_files.identity.other_file_than(wanted)
    return None


def its_file(file: str) -> str:
    """Return the sentence that names the configuration which a daemon runs instead."""
    return f"this daemon runs the configuration {file}, with the same database and name"


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


def stop_timeout_of(options: argparse.Namespace) -> float:
    """Return how long a stop may take, as the file says now or by default."""
    if options.runtime_dir is None:
        with suppress(ConfigError):
            return locate(options.config, os.environ).stop_timeout
    return _DEFAULT_STOP_TIMEOUT


def _given(options: argparse.Namespace) -> DaemonConfig:
    directory = options.runtime_dir.absolute()
    name = options.name or "default"
    return DaemonConfig(name=name, runtime_dir=directory, working_directory=directory)


def _refuse_hidden(wanted: Identity) -> None:
    """Refuse to take a daemon for stopped that holds the lock on the database.

    A daemon that is just ending holds it until its process is gone.
    """
    deadline = time.monotonic() + _ENDS_WITHIN
    while (pid := database_lock.holder(Path(wanted.database), wanted.name)) is not None:
        if time.monotonic() > deadline:
            raise NotAnswering(
                f'a gigqd named "{wanted.name}" ({database_lock.as_text(pid)}) serves '
                f"{wanted.database}, but its runtime files are not to be seen from here; name "
                "their directory with --runtime-dir"
            )
        time.sleep(_LOOK)
