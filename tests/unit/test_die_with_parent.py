"""A child of the supervisor does not outlive it."""

from __future__ import annotations

import select
import subprocess
import sys

PARENT_IS_GONE_ALREADY = """
import os, time
from gigqd.linux import syscalls as kernel
parent = os.getpid()
if os.fork():
    os._exit(0)
while os.getppid() == parent:
    time.sleep(0.001)
kernel.die_with_parent(parent)
print("it went on", flush=True)
os._exit(0)
"""
PARENT_LIVES = """
import os
from gigqd.linux import syscalls as kernel
parent = os.getpid()
child = os.fork()
if not child:
    kernel.die_with_parent(parent)
    print("it went on", flush=True)
    os._exit(0)
os.waitpid(child, 0)
"""
PARENT_DIES_LATER = """
import os
from gigqd.linux import syscalls as kernel
parent = os.getpid()
ready, send = os.pipe()
if os.fork():
    os.read(ready, 1)
    os._exit(0)
kernel.die_with_parent(parent)
os.write(send, b"1")
os.read(0, 1)
"""


def said(script: str) -> str:
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, timeout=60
    )
    assert done.stderr == ""
    return done.stdout


def test_a_child_whose_parent_is_gone_before_it_could_ask_leaves_at_once() -> None:
    assert said(PARENT_IS_GONE_ALREADY) == ""


def test_a_child_whose_parent_lives_goes_on() -> None:
    assert said(PARENT_LIVES) == "it went on\n"


def test_a_child_is_killed_when_its_parent_dies() -> None:
    with subprocess.Popen(
        [sys.executable, "-c", PARENT_DIES_LATER], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as parent:
        assert parent.stdout is not None
        # The end of its output: the child, which waits for input that does not come, is dead too.
        ended, _, _ = select.select([parent.stdout], [], [], 30)

        assert ended
        assert parent.stdout.read() == b""
