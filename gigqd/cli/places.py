"""Where the daemon that a command means keeps its runtime files."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from gigqd.config import DaemonConfig, locate

if TYPE_CHECKING:
    import argparse


def place_of(options: argparse.Namespace) -> DaemonConfig:
    """The daemon's table as far as it decides the place; the rest of the file may be wrong.

    Raises:
        ConfigError: the file cannot be parsed, and --runtime-dir does not replace it.
    """
    if options.runtime_dir is None:
        return locate(options.config, os.environ)
    directory = options.runtime_dir.absolute()
    return DaemonConfig(runtime_dir=directory, working_directory=directory)
