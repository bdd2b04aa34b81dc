"""How long it takes from the command to the end of the first job, which lies there already.

    .venv/bin/python bench/startup.py --rounds 20

Every round begins `gigqd start`, `gigqd run`, a plain worker of the library and a Python that does
nothing, in turn. The end of the job is the time that is stored with its outcome. The modules are
compiled; with --uncompiled Python compiles each of them anew, as after an installation that may not
write beside the code.
"""

from __future__ import annotations

import argparse
import importlib.util
import os
import statistics
import subprocess
import sys
import tempfile
import time
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

from rig import command, machine

from gigq import Job, JobQueue

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import ModuleType

CONFIG = """\
[daemon]
runtime_dir = "run"
[queue]
database = "jobs.db"
[code]
python_path = ["."]
[pools.default]
size = {workers}
"""
APPLICATION = "def job():\n    return 1\n"


def main() -> None:
    """Measure in turns and print a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--uncompiled", action="store_true")
    options = parser.parse_args()
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
    ways: dict[str, Callable[[Path], float]] = {
        "gigqd start": detached,
        "gigqd start, told": told,
        "gigqd run": in_the_foreground,
        "gigq worker": plain_worker,
        "python -c pass": nothing,
    }
    took: dict[str, list[float]] = {name: [] for name in ways}
    for number in range(-1, options.rounds):  # the first round compiles the modules
        if number == 0 and options.uncompiled:
            os.environ["PYTHONDONTWRITEBYTECODE"] = "1"
            os.environ["PYTHONPYCACHEPREFIX"] = tempfile.mkdtemp()
        for name, way in ways.items():
            with tempfile.TemporaryDirectory() as folder:
                seconds = way(prepared(Path(folder), options.workers))
            if number >= 0:
                took[name].append(seconds * 1000)
    report(took, options.workers)


def report(took: dict[str, list[float]], workers: int) -> None:
    """Print what every way took."""
    print(f"{machine()}; {workers} workers")
    print(f"{'from the command to':28} {'median ms':>10} {'least':>8} {'most':>8}")
    for name, values in took.items():
        row = (statistics.median(values), min(values), max(values))
        print(f"{name:28} {row[0]:10.1f} {row[1]:8.1f} {row[2]:8.1f}")


def prepared(folder: Path, workers: int) -> Path:
    """A configuration beside a database with one job."""
    code = folder / "application.py"
    code.write_text(APPLICATION)
    config = folder / "gigq.toml"
    config.write_text(CONFIG.format(workers=workers))
    queue = JobQueue(folder / "jobs.db")
    queue.submit(Job("first", imported(code).job))
    queue.close()
    return config


def imported(code: Path) -> ModuleType:
    """The module in a file, under its importable name."""
    spec = importlib.util.spec_from_file_location(code.stem, code)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[code.stem] = module
    spec.loader.exec_module(module)
    return module


def detached(config: Path) -> float:
    """Until the first job of `gigqd start` is done."""
    began = time.time()
    command("start", config)
    seconds = done_at(config) - began
    command("stop", config)
    return seconds


def told(config: Path) -> float:
    """Until `gigqd start` has said that the daemon is up."""
    began = time.time()
    command("start", config)
    seconds = time.time() - began
    command("stop", config)
    return seconds


def in_the_foreground(config: Path) -> float:
    """Until the first job of `gigqd run` is done."""
    arguments = [sys.executable, "-m", "gigqd", "--config", str(config), "run"]
    began = time.time()
    with subprocess.Popen(arguments, stderr=subprocess.DEVNULL) as daemon:
        seconds = done_at(config) - began
        daemon.terminate()
    return seconds


def plain_worker(config: Path) -> float:
    """Until the first job of the library's own worker is done."""
    database = str(config.with_name("jobs.db"))
    arguments = [sys.executable, "-m", "gigq", "--db", database, "worker"]
    environment = os.environ | {"PYTHONPATH": str(config.parent)}
    began = time.time()
    nowhere = subprocess.DEVNULL
    with subprocess.Popen(arguments, stdout=nowhere, stderr=nowhere, env=environment) as worker:
        seconds = done_at(config) - began
        worker.terminate()
    return seconds


def nothing(_config: Path) -> float:
    """Until a Python that does nothing has ended."""
    began = time.time()
    subprocess.run([sys.executable, "-c", "pass"], check=True)
    return time.time() - began


def done_at(config: Path) -> float:
    """When the job was done, in seconds of the system's clock."""
    queue = JobQueue(config.with_name("jobs.db"))
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        (job,) = queue.list_jobs()
        if job["completed_at"]:
            queue.close()
            return datetime.fromisoformat(job["completed_at"]).timestamp()
        time.sleep(0.005)
    raise SystemExit(f"the job was not done in time: {job['status']}, {job['error']}")


if __name__ == "__main__":
    main()
