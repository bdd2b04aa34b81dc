"""The kernel's count of how often it has taken the processor away from a thread."""

from __future__ import annotations

import os
import subprocess
import sys
import time

from support.waiting import wait_until

from gigq.execution.held_claims import preemptions


def test_a_thread_that_waits_is_not_taken_for_a_preempted_one() -> None:
    def waits_undisturbed() -> bool:
        child = subprocess.Popen([sys.executable, "-c", ""], stdout=subprocess.PIPE)
        before = preemptions()
        child.wait()
        same = preemptions() == before
        child.communicate()
        return same

    wait_until(waits_undisturbed)


def test_a_thread_that_shares_its_processor_is_seen_to_be_preempted() -> None:
    before, allowed = preemptions(), os.sched_getaffinity(0)
    parent, rival = os.getpid(), os.fork()
    if rival == 0:
        os.sched_setaffinity(0, {min(allowed)})
        while os.getppid() == parent:
            pass
        os._exit(0)
    try:
        os.sched_setaffinity(0, {min(allowed)})
        deadline = time.monotonic() + 20
        while preemptions() == before and time.monotonic() < deadline:
            pass
    finally:
        os.sched_setaffinity(0, allowed)
        os.kill(rival, 9)
        os.waitpid(rival, 0)

    assert preemptions() > before
