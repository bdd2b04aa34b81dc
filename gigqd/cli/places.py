"""Which daemon a command means, and where its runtime files are."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import TYPE_CHECKING

from gigqd import fence
from gigqd.client import NotAnswering
from gigqd.config import DaemonConfig, identify, locate
from gigqd.instance import Instance
from gigqd.presence import AnotherDaemon

if TYPE_CHECKING:
    import argparse

    from gigqd.identity import Identity

_NAME = "GIGQD_DAEMON__NAME"
_ENDS_WITHIN = 1.0
_LOOK = 0.02


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
    configured = Instance(identify(options.config, os.environ))
    wanted = configured.identity
    assert wanted is not None
    note = configured.note() if (running := configured.running()) else None
    other = note.identity if note else None
    if running and (other is None or other.is_that_of(wanted)):
        return configured
    if (elsewhere := configured.elsewhere()) is not None:
        return elsewhere
    if running and other is not None:
        raise AnotherDaemon(running, other, wanted, configured.directory)
    _refuse_hidden(wanted)
    return configured


def stop_timeout_of(options: argparse.Namespace) -> float:
    """Return how long a stop may take, as the file says now or by default."""
    if options.runtime_dir is not None:
        return _given(options).stop_timeout
    return locate(options.config, os.environ).stop_timeout


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
