"""An orphan without a mark, in a group of its own, is known by the session of its worker."""

from __future__ import annotations

import json
import subprocess
import sys

SCRIPT = """
import json, os, signal, time
from gigqd.linux import syscalls
from gigqd.process.kill_tree import TreeKill

def forked(work):
    pid = os.fork()
    if not pid:
        work()
        signal.pause()
        os._exit(0)
    return pid

def parent_of_an_orphan():
    def work():
        os.setsid()
        child = forked(lambda: (forked(os.setpgrp), os._exit(0)))
        os.waitpid(child, 0)
    return work

def living():
    return {pid for pid in syscalls.children_of(os.getpid()) if syscalls.read_process(pid).alive}

syscalls.become_subreaper()
worker, other = forked(parent_of_an_orphan()), forked(parent_of_an_orphan())
deadline = time.monotonic() + 20
while len(living()) < 4 and time.monotonic() < deadline:
    time.sleep(0.01)
of_worker = {pid for pid in living() if os.getsid(pid) == worker}
treekill = TreeKill(worker, lambda mark: False)
while not treekill.step() and time.monotonic() < deadline:
    time.sleep(0.01)
left = living()
facts = [len(of_worker), len(of_worker & left), len(left)]
for pid in of_worker | left:
    os.kill(pid, signal.SIGKILL)
print(json.dumps(facts))
"""


def test_an_orphan_in_the_workers_session_is_ended_and_one_in_another_session_lives() -> None:
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT], capture_output=True, text=True, timeout=60
    )
    of_worker, of_worker_left, left = json.loads(done.stdout)

    assert (of_worker, of_worker_left, left) == (2, 0, 2)
