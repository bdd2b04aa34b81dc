"""How long a turn of the supervisor's loop is while a hundred overrunning jobs are killed at once.

    .venv/bin/python bench/kill_storm.py --workers 100 --children 3
    .venv/bin/python bench/kill_storm.py --rounds 5 --than ../earlier-checkout

Each job starts some children and sleeps. Once all run, the supervisor is stopped until every one of
them has overrun, so that it finds all of them at once. A turn is the time between two waits in its
selector; it is taken in the supervisor's process, as wall-clock time and as its processor time,
from the moment when it goes on until all jobs are recorded. The status is asked for again and again
over the control socket. `--than` runs this program in other checkouts in turns with this one.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import socket
import statistics
import subprocess
import tempfile
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import psutil
from rig import CONFIG_OF_KILLS, command, in_turns, machine, running_daemon

from gigq import Job, JobQueue

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

LIMIT = 8.0

# Executed in every interpreter that the daemon starts; a line for each turn of over a millisecond.
TIMER = """
import os, selectors, time
select = selectors.EpollSelector.select
last = {{}}
def timed(self, timeout=None):
    now, used = time.monotonic(), time.thread_time()
    began = last.get(os.getpid())
    if began and now - began[0] > 0.001:
        line = f"{{os.getpid()}} {{began[0]}} {{now - began[0]}} {{used - began[1]}}\\n"
        with open({path!r}, "a") as file:
            file.write(line)
    ready = select(self, timeout)
    last[os.getpid()] = time.monotonic(), time.thread_time()
    return ready
selectors.EpollSelector.select = timed
"""


def overrun(children: int) -> None:
    """Start children, then sleep until the limit is over."""
    for _ in range(children):
        subprocess.Popen(["/bin/sleep", "3600"])
    time.sleep(3600)


def main() -> None:
    """Measure once, or in turns with other checkouts, and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--workers", type=int, default=100)
    parser.add_argument("--children", type=int, default=3)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--than", nargs="*", default=[])
    parser.add_argument("--once", action="store_true")
    options = parser.parse_args()
    if options.once:
        print(json.dumps(measure(options)))
        return
    print(machine())
    found = in_turns(__file__, options.than, options.rounds)
    middle: dict[str, dict[str, float]] = {}
    for tree, runs in found.items():
        middle[tree] = {name: statistics.median(run[name] for run in runs) for name in runs[0]}
        print(tree, *(f"{name} {value:g}" for name, value in middle[tree].items()), sep="\n    ")
    here, *others = middle.values()
    for other in others:
        for name in here:
            print(
                f"{name}: {other[name] / here[name] if here[name] else float('nan'):.1f} times here"
            )


def measure(options: argparse.Namespace) -> dict[str, float]:
    """Run the jobs once; what the turns and the answers took."""
    text = CONFIG_OF_KILLS.format(workers=options.workers)
    with tempfile.TemporaryDirectory() as folder:
        turns = Path(folder, "turns")
        Path(folder, "sitecustomize.py").write_text(TIMER.format(path=str(turns)))
        os.environ["PYTHONPATH"] = folder
        with running_daemon(text) as config:
            return storm(config, options, turns)


def storm(config: Path, options: argparse.Namespace, turns: Path) -> dict[str, float]:
    """Have all jobs overrun at once."""
    from kill_storm import overrun as job_function  # by its importable name, not as __main__

    queue = JobQueue(config.with_name("jobs.db"))
    supervisor = psutil.Process(json.loads(command("status", config, "--json"))["pid"])
    children = options.workers * options.children
    until(lambda: len(supervisor.children()) > options.workers)
    settings = {"timeout": LIMIT, "max_attempts": 1, "params": {"children": options.children}}
    queue.submit_many([Job("storm", job_function, **settings) for _ in range(options.workers)])
    until(lambda: len(supervisor.children(recursive=True)) > options.workers + children)
    with stopped(supervisor):
        time.sleep(LIMIT)
    began = time.monotonic()
    answers = []
    while queue.stats()["timeout"] < options.workers:
        answers.append(ask(config.with_name("run") / "gigqd.sock"))
        time.sleep(0.01)
    took = time.monotonic() - began
    seen = [tuple(map(float, line.split())) for line in turns.read_text().splitlines()]
    storming = [(wall, cpu) for pid, at, wall, cpu in seen if pid == supervisor.pid and at >= began]
    log = [json.loads(line) for line in config.with_name("gigqd.log").read_text().splitlines()]
    killed = sum(line["killed"] for line in log if line["event"] == "worker_exited")
    return {
        "processes on the machine": len(psutil.pids()) + killed,
        "processes killed": killed,
        "longest turn, ms": max(wall for wall, _ in storming) * 1000,
        "longest turn, ms of processor time": max(cpu for _, cpu in storming) * 1000,
        "slowest answer to status, ms": max(answers) * 1000,
        "all recorded after, s": took,
    }


@contextmanager
def stopped(process: psutil.Process) -> Iterator[None]:
    """Stop a process until the end of the block."""
    process.send_signal(signal.SIGSTOP)
    try:
        yield
    finally:
        process.send_signal(signal.SIGCONT)


def ask(path: Path) -> float:
    """Ask for the status; how long the answer took, in seconds."""
    began = time.monotonic()
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as control:
        control.connect(str(path))
        control.sendall(b'{"command": "status"}\n')
        while not control.recv(1 << 20).endswith(b"\n"):
            pass
    return time.monotonic() - began


def until(condition: Callable[[], bool]) -> None:
    """Wait for a condition."""
    while not condition():
        time.sleep(0.05)


if __name__ == "__main__":
    main()
