"""The signals of a worker, and what they do to a call that waits."""

from __future__ import annotations

import signal
import subprocess
import sys

from support.waiting import wait_until

from gigqd.linux import syscalls

WAITING = """
import os, signal, sys
from gigqd.worker.signal_wakeup import SignalWakeup

def leave(number, frame):
    pass

def interrupt(number, frame):
    raise TimeoutError

ear = SignalWakeup(leave, os.memfd_create("stacks"))
signal.signal(signal.SIGUSR2, interrupt)
print("up", flush=True)
try:
    sys.stdin.buffer.raw.read(1)
except TimeoutError:
    print("interrupted")
"""


def test_the_signal_that_dumps_the_stacks_lets_the_next_one_interrupt_a_call_that_waits():
    with subprocess.Popen(
        [sys.executable, "-c", WAITING], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as waiting:
        assert waiting.stdout.readline() == "up\n"
        wait_until(lambda: syscalls.read_process(waiting.pid).state == "S")
        # Stopped while both are sent: so both are pending when the call is looked at again.
        waiting.send_signal(signal.SIGSTOP)
        wait_until(lambda: syscalls.read_process(waiting.pid).stopped)
        waiting.send_signal(signal.SIGUSR1)
        waiting.send_signal(signal.SIGUSR2)
        waiting.send_signal(signal.SIGCONT)
        try:
            ended = waiting.wait(timeout=20)  # its standard input stays open
        finally:
            waiting.kill()

        assert (ended, waiting.stdout.read()) == (0, "interrupted\n")


FORKING = """
import os, signal
from gigqd.worker.signal_wakeup import SignalWakeup

SignalWakeup(lambda number, frame: None, os.memfd_create("stacks"))
child = os.fork()
if not child:
    os.kill(os.getpid(), getattr(signal, NAME))
    os._exit(3)
print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
"""


def test_a_process_that_a_job_forks_has_the_default_handlers():
    ended = {
        name: subprocess.run(
            [sys.executable, "-c", f"NAME = {name!r}\n{FORKING}"],
            capture_output=True,
            text=True,
            check=True,
        ).stdout.strip()
        for name in ("SIGTERM", "SIGUSR1", "SIGHUP")
    }

    assert ended == {name: str(-getattr(signal, name)) for name in ended}
