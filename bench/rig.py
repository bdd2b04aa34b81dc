"""What every measurement needs: a daemon in a folder of its own, and a line about the machine."""

from __future__ import annotations

import os
import platform
import subprocess
import sys
import tempfile
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator


@contextmanager
def running_daemon(config_text: str) -> Iterator[Path]:
    """A started daemon, as its configuration file; stopped and removed without a trace."""
    with tempfile.TemporaryDirectory() as folder:
        config = Path(folder, "gigq.toml")
        config.write_text(config_text)
        command("start", config)
        try:
            yield config
        finally:
            command("stop", config)


def command(name: str, config: Path, *flags: str) -> str:
    """Run one gigqd command; what it printed."""
    arguments = [sys.executable, "-m", "gigqd", "--config", str(config), name, *flags]
    return subprocess.run(arguments, check=True, capture_output=True, text=True).stdout


def machine() -> str:
    """What the figures were measured on."""
    python = f"Python {platform.python_version()}"
    return f"machine: {os.cpu_count()} cores, {platform.system()} {platform.release()}, {python}"
