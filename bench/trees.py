"""Whether anything of a job outlives its kill: trees of every kind, and a bystander.

    .venv/bin/python bench/trees.py --jobs 200 --workers 4

Each job starts children that are plain, in a session of their own, forked twice, forked twice with
an empty environment, and chains of processes that fork an heir and end; then it overruns. What
carries a mark of the daemon afterwards, or was noted by a job and lives, is a survivor. A second
part kills growing trees in this process and measures single steps, and a look at all of them.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import subprocess
import time
from contextlib import suppress
from typing import TYPE_CHECKING

from rig import CONFIG_OF_KILLS, command, machine, running_daemon

from gigq import Job, JobQueue
from gigqd.linux import syscalls
from gigqd.process import reap
from gigqd.process.kill_tree import TreeKill
from gigqd.process.process_table import ProcessTable
from gigqd.process.process_tag import Tag, home_of, is_of_home, tag_this_process, tags_of
from gigqd.process.process_tree import descendants

if TYPE_CHECKING:
    from pathlib import Path

AGES = 3600
MOST_HOPS = 20_000


def family(notes: str) -> None:
    """Start children of every kind, note those that stay, and overrun."""
    for kind in ("plain", "setsid", "double", "scrubbed", "hop"):
        if os.fork() == 0:
            try:
                be_child(kind, notes)
            finally:
                os._exit(0)
    time.sleep(AGES)


def be_child(kind: str, notes: str) -> None:
    """Live as one kind of child does."""
    if kind != "plain":
        os.setsid()
    if kind in ("double", "scrubbed", "hop") and os.fork():
        return
    hops = 0
    while kind == "hop" and hops < MOST_HOPS:
        hops += 1
        if os.fork():
            return
        if hops % 2:
            os.setsid()
    fd = os.open(notes, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.write(fd, f"{os.getpid()} {syscalls.start_ticks(os.getpid())}\n".encode())
    os.close(fd)
    if kind == "scrubbed":
        os.execve("/bin/sleep", ["sleep", str(AGES)], {})  # noqa: S606 - that is the point
    time.sleep(AGES)


def main() -> None:
    """Start a daemon, let jobs overrun, count what is left; then measure steps."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--jobs", type=int, default=200)
    parser.add_argument("--workers", type=int, default=4)
    parser.add_argument("--timeout", type=float, default=0.5)
    options = parser.parse_args()
    print(machine())
    bystander = subprocess.Popen(["/bin/sleep", str(AGES)], start_new_session=True)
    try:
        text = CONFIG_OF_KILLS.format(workers=options.workers)
        with running_daemon(text) as config:
            report(config, options)
        print(f"bystander: {'alive' if bystander.poll() is None else 'KILLED'}")
    finally:
        bystander.kill()
        bystander.wait()
    syscalls.become_subreaper()
    for size in (10, 100, 1000):
        measure_steps(size)


def report(config: Path, options: argparse.Namespace) -> None:
    """Run the jobs and print what is left of them."""
    from trees import family as job_function  # by its importable name, not as __main__

    queue = JobQueue(config.with_name("jobs.db"))
    notes = config.with_name("notes")
    limits = {"timeout": options.timeout, "max_attempts": 1, "params": {"notes": str(notes)}}
    queue.submit_many([Job("family", job_function, **limits) for _ in range(options.jobs)])
    while queue.stats()["timeout"] < options.jobs:
        time.sleep(0.1)
    log = [json.loads(line) for line in config.with_name("gigqd.log").read_text().splitlines()]
    ends = [line for line in log if line["event"] == "worker_exited" and line["cause"] == "timeout"]
    slots = {slot["pid"] for slot in json.loads(command("status", config, "--json"))["slots"]}
    noted = [tuple(map(int, line.split())) for line in notes.read_text().splitlines()]
    survivors = {pid for pid, born in noted if lives(pid, born)} | (marked(config) - slots)
    print(f"{len(ends)} kills, {options.workers} workers, limit {options.timeout:g} s, no grace")
    print(f"processes: {len(noted)} that stay were noted, {sum(e['killed'] for e in ends)} killed")
    print(f"survivors: {len(survivors)} {sorted(survivors) or ''}")
    denied = [line for line in log if line["event"] in ("kill_denied", "tree_kill_incomplete")]
    print(f"kills denied or incomplete: {len(denied)}")


def lives(pid: int, born: int) -> bool:
    """Whether a process is there and is the one that was noted."""
    with suppress(ProcessLookupError):
        process = syscalls.read_process(pid)
        return process.alive and process.start_ticks == born
    return False


def marked(config: Path) -> set[int]:
    """Every living process that carries a tag or a stamp of this database."""
    home = home_of(str(config.with_name("jobs.db")))
    found = set()
    for pid in syscalls.all_pids():
        mark = tags_of(pid)
        if (mark.tag and mark.tag.home == home) or (mark.stamp and is_of_home(mark.stamp, home)):
            with suppress(ProcessLookupError):
                found |= {pid} if syscalls.read_process(pid).alive else set()
    return found


def measure_steps(size: int) -> None:
    """Kill a tree of so many processes, each in a session of its own, and time it."""
    tag = Tag("bench", f"gigqd:{size}", "default/0", 1)
    root = os.fork()
    if root == 0:
        os.setsid()
        tag_this_process(tag)
        for _ in range(size - 1):
            if os.fork() == 0:
                os.setsid()
                signal.pause()
        signal.pause()
    while len(list(descendants(syscalls.read_process(root)))) < size - 1:
        time.sleep(0.01)
    process_table = ProcessTable()
    looks = []
    for _ in range(5):
        process_table.take({root: tag})
        looks.append(process_table.took * 1000)
    treekill = TreeKill(root, tag.matches)
    steps: list[float] = []
    done = False
    while not done:
        began = time.perf_counter()
        done = treekill.step()
        steps.append((time.perf_counter() - began) * 1000)
        reap.reap_adopted(syscalls.own_children(), {root})
    reap.reap(root)
    print(
        f"tree of {size}: a look {min(looks):.1f} ms; killed in {len(steps)} steps, "
        f"the longest {max(steps):.1f} ms, all {sum(steps):.0f} ms"
    )


if __name__ == "__main__":
    main()
