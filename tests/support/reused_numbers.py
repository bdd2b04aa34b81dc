"""Give the numbers of processes away again while a tree is looked at; run in a pid namespace.

Usage: unshare --pid --fork --mount-proc python -m support.reused_numbers child|parent ROUNDS

Prints how many unrelated processes were taken for descendants. Ends with 77 where the next number
cannot be chosen.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

from gigqd.linux import syscalls
from gigqd.process import process_tree

LAST = Path("/proc/sys/kernel/ns_last_pid")
CANNOT = 77
TICKS = os.sysconf("SC_CLK_TCK")


def spawn(script: str, number: int | None = None) -> subprocess.Popen[bytes]:
    """Start a shell that is ready, if need be with a number that has just become free."""
    while True:
        if number is not None:
            try:
                LAST.write_text(str(number - 1))
            except OSError:
                sys.exit(CANNOT)
        process = subprocess.Popen(["/bin/sh", "-c", script])
        if number in (None, process.pid):
            return process
        process.kill()  # the kernel had not freed the number yet
        process.wait()


def until_reaped(number: int) -> None:
    """Wait until a process has ended and its parent has taken its exit status."""
    while Path(f"/proc/{number}").exists():
        os.sched_yield()


def children_of(number: int) -> list[int]:
    """Wait for the child of a process."""
    while not (found := list_children(number)):
        os.sched_yield()
    return found


def one_round(case: str) -> int:
    """Look at a tree while a number in it is given to an unrelated process."""
    below = "sleep 1000 & wait; exec sleep 1000"
    root = spawn(below if case == "child" else f"sh -c '{below}' & wait; exec sleep 1000")
    victim = children_of(root.pid)[0]
    if case == "parent":
        children_of(victim)
    unrelated: list[subprocess.Popen[bytes]] = []

    def give_away() -> None:
        # Start times count ticks of 10 ms: two processes of one tick have the same.
        started = syscalls.start_ticks(victim)
        while time.clock_gettime(time.CLOCK_BOOTTIME) * TICKS < started + 2:
            os.sched_yield()
        os.kill(victim, signal.SIGKILL)
        until_reaped(victim)
        unrelated.append(spawn("sleep 1000 & wait", victim))

    def listing(number: int) -> list[int]:
        if case == "parent" and number == victim and not unrelated:
            give_away()
            return children_of(victim)
        found = list_children(number)
        if case == "child" and number == root.pid and not unrelated:
            give_away()
        return found

    process_tree.syscalls.children_of = listing
    taken = {each.pid for each in process_tree.descendants(syscalls.read_process(root.pid))}
    unidentified = {unrelated[0].pid, *children_of(unrelated[0].pid)}
    if case == "parent":
        taken.discard(victim)  # seen before it ended; a signal checks its start time again
    for process in (root, *unrelated):
        process.kill()
        process.wait()
    return len(taken & unidentified)


list_children = syscalls.children_of

if __name__ == "__main__":
    print(sum(one_round(sys.argv[1]) for _ in range(int(sys.argv[2]))))  # noqa: T201
