"""Where the daemon that a command means keeps its runtime files."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from gigqd.config import DaemonConfig, locate

if TYPE_CHECKING:
    import argparse

_NAME = "GIGQD_DAEMON__NAME"


def heed_name(options: argparse.Namespace) -> None:
    """Let --name win over the file, for this process and for the daemon that it may become."""
    if options.name is not None:
        os.environ[_NAME] = options.name


def place_of(options: argparse.Namespace) -> DaemonConfig:
    """The daemon's table as far as it decides the place; the rest of the file may be wrong.

    Raises:
        ConfigError: the file cannot be parsed, and --runtime-dir does not replace it.
    """
    if options.runtime_dir is None:
        return locate(options.config, os.environ)
    directory = options.runtime_dir.absolute()
    name = options.name or "default"
    return DaemonConfig(name=name, runtime_dir=directory, working_directory=directory)
