"""Which daemon a command means, and where its runtime files are."""

from __future__ import annotations

import os
import time
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from gigq import given_paths
from gigqd import fence, running_daemons
from gigqd.client import NotAnswering
from gigqd.config import DaemonConfig, config_path, identify, locate
from gigqd.errors import ConfigError, Problem
from gigqd.identity import Identity, overrides_of
from gigqd.instance import Instance
from gigqd.presence import AnotherDaemon

if TYPE_CHECKING:
    import argparse

_NAME = "GIGQD_DAEMON__NAME"
_ENDS_WITHIN = 1.0
_LOOK = 0.02
_DEFAULT_STOP_TIMEOUT = 30.0


def heed_name(options: argparse.Namespace) -> None:
    """Let --name win over the file, for this process and for the daemon that it may become."""
    if options.name is not None:
        os.environ[_NAME] = options.name


def instance_of(options: argparse.Namespace) -> Instance:
    """Return the runtime files of the daemon that a command means, wherever it keeps them.

    A daemon is meant that runs the configuration file, or its database under its name. With
    --runtime-dir it is the one in that directory, and nothing else of the file counts.

    Raises:
        AnotherDaemon: another daemon has its files where this one's would be.
        ConfigError: the file cannot be parsed, and --runtime-dir does not replace it.
        NotAnswering: the daemon runs, and its files cannot be found.
    """
    if options.runtime_dir is not None:
        return Instance(_given(options))
    try:
        configured = Instance(identify(options.config, os.environ))
    except ConfigError as error:
        return _of_unreadable_file(options, error)
    wanted = configured.identity
    assert wanted is not None
    note = configured.note() if (running := configured.running()) else None
    other = note.identity if note else None
    if running and (other is None or other.has_file_of(wanted)):
        return configured
    elsewhere = configured.elsewhere()
    is_of_file = elsewhere and elsewhere.identity and elsewhere.identity.has_file_of(wanted)
    if running and other and other.has_queue_of(wanted) and not is_of_file:
        return configured
    if elsewhere is not None:
        return elsewhere
    if running and other is not None:
        raise AnotherDaemon(running, other, wanted, configured.directory)
    _refuse_hidden(wanted)
    return configured


def file_of_other(instance: Instance, options: argparse.Namespace) -> str | None:
    """Return the configuration that the found daemon runs, when the command names another one."""
    with suppress(ConfigError):
        wanted = Instance(identify(options.config, os.environ)).identity
        note = instance.note() if options.runtime_dir is None else None
        return note.identity.other_file_than(wanted) if note and note.identity else None
    return None


def its_file(file: str) -> str:
    """Return the sentence that names the configuration which a daemon runs instead."""
    return f"this daemon runs the configuration {file}, with the same database and name"


def _of_unreadable_file(options: argparse.Namespace, error: ConfigError) -> Instance:
    """Return the runtime files of the daemon that runs a file which cannot be read any more."""
    path = options.config or config_path(os.environ)
    if path is not None:
        wanted = Identity(given_paths.absolute(str(path)), "", "", overrides_of(os.environ))
        found = running_daemons.find_of_file(wanted)
        if found is not None:
            return Instance.of_running(found)
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
    while (who := fence.seen(Path(wanted.database), wanted.name)) is not None:
        if time.monotonic() > deadline:
            raise NotAnswering(
                f'a gigqd named "{wanted.name}" ({who}) serves {wanted.database}, but its runtime '
                "files are not to be seen from here; name their directory with --runtime-dir"
            )
        time.sleep(_LOOK)
