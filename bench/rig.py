"""What every measurement needs: a daemon in a folder of its own, and a line about the machine."""

from __future__ import annotations

import json
import os
import platform
import subprocess
import sys
import tempfile
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

# Parts of a configuration, by table. A key of the last table may follow.
DAEMON = """\
[daemon]
runtime_dir = "run"
"""
QUEUE = f"""\
[code]
python_path = ["{Path(__file__).parent}"]
[queue]
database = "jobs.db"
"""
LOG = """\
[log]
file = "gigqd.log"
format = "json"
"""
CONFIG_OF_WORKERS = f"""\
{DAEMON}{QUEUE}durability = "{{durability}}"
[pools.default]
size = {{workers}}
"""
CONFIG_OF_KILLS = f"""\
{DAEMON}{QUEUE}{LOG}[pools.default]
size = {{workers}}
timeout_grace = 0
"""


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


def in_turns(script: str, others: Sequence[str], rounds: int) -> dict[str, list[dict[str, float]]]:
    """Run a script's `--once`, which prints JSON, by this checkout and by others in turn.

    Args:
        script: the script; all run this one, each with the library of its own checkout.
        others: folders of other checkouts that have a `.venv`.
        rounds: how many times each.
    """
    here = str(Path(script).parents[1])
    found: dict[str, list[dict[str, float]]] = {tree: [] for tree in [here, *others]}
    for _ in range(rounds):
        for tree, so_far in found.items():
            python = Path(tree, ".venv", "bin", "python")
            arguments = [str(python), script, *sys.argv[1:], "--once"]
            run = subprocess.run(arguments, check=True, stdout=subprocess.PIPE, text=True, cwd=tree)
            so_far.append(json.loads(run.stdout))
    return found


def machine() -> str:
    """What the figures were measured on."""
    python = f"Python {platform.python_version()}"
    return f"machine: {os.cpu_count()} cores, {platform.system()} {platform.release()}, {python}"
