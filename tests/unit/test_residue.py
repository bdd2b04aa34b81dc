"""Whatever a job can leave behind in its process is noticed, and nothing else is."""

from __future__ import annotations

import subprocess
import sys

import pytest
from support.tree import ROOT

from gigqd.config.keys import RESIDUE
from gigqd.roles.residue import NAMES

PROGRAM = """
import os, resource, signal, sys, threading, time
from gigqd.roles.residue import Residue
def stay():
    time.sleep(60)
listening = [True]
residue = Residue(lambda: listening[0], {allowed!r})
{statement}
print(*residue.left(), flush=True)
os._exit(0)
"""


def left_by(statement: str, allowed: tuple[str, ...] = ()) -> list[str]:
    """What a process of its own has left after a statement."""
    program = PROGRAM.format(statement=statement, allowed=allowed)
    ran = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True
    )
    return ran.stdout.split()


SPOILERS = {
    "threads": "threading.Thread(target=stay).start()",
    "children": "os.fork() or (os.close(1), os.close(2), time.sleep(5))",
    "descriptors": "kept = [open(os.devnull) for _ in range(50)]",
    "handlers": "signal.signal(signal.SIGTERM, signal.SIG_IGN)",
    "mask": "signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGUSR2})",
    "timers": "signal.setitimer(signal.ITIMER_VIRTUAL, 60)",
    "directory": "os.chdir('/')",
    "umask": "os.umask(0o123)",
    "environment": "os.environ['SHOP'] = 'open'",
    "limits": "resource.setrlimit(resource.RLIMIT_CORE, (0, 0))",
    "priority": "os.nice(1)",
    "locale": "import locale; locale.setlocale(locale.LC_NUMERIC, 'C.UTF-8')",
    "path": "sys.path.insert(0, '/shop')",
    "streams": "sys.stdout = open('/dev/stdout', 'w')",
    "interpreter": "sys.setrecursionlimit(5000)",
}


def test_there_is_a_name_for_everything_that_is_looked_at() -> None:
    assert list(NAMES) == list(RESIDUE) == list(SPOILERS)


@pytest.mark.parametrize("name", SPOILERS)
def test_what_is_left_is_named(name: str) -> None:
    assert left_by(SPOILERS[name]) == [name]


@pytest.mark.parametrize(
    ("name", "statement"),
    [
        ("children", "os.fork() or os._exit(0)"),
        ("handlers", "listening[0] = False"),
        ("environment", "del os.environ['PATH']"),
        ("timers", "signal.alarm(60)"),
        ("interpreter", "import gc; gc.disable()"),
        ("threads", "os.close(residue._tasks)"),
        ("descriptors", "os.close(residue._files)"),
        ("interpreter", "import socket; socket.setdefaulttimeout(1)"),
        ("directory", ("os.mkdir('/tmp/gone-%d' % os.getpid()); "
         "os.chdir('/tmp/gone-%d' % os.getpid()); os.rmdir(os.getcwd())")),
    ],
)  # fmt: skip
def test_there_are_more_ways_to_leave_something(name: str, statement: str) -> None:
    assert left_by(statement) == [name]


@pytest.mark.parametrize(
    "statement",
    [
        "pass",
        "import subprocess; subprocess.run(['true'])",
        "thread = threading.Thread(target=print, args=('',), kwargs={'end': ''}); thread.start()",
        "kept = [open(os.devnull) for _ in range(10)]",
        "os.environ['SHOP'] = 'open'; del os.environ['SHOP']",
        ("os.fork() or (time.sleep(0.02), os._exit(0)); "
        "threading.Timer(0.02, os.wait).start()"),
        "os.environ['SHOP'] = 'open'; residue.accept()",
    ],
)  # fmt: skip
def test_what_was_put_back_is_gone_or_accepted_is_not_left(statement: str) -> None:
    assert left_by(statement) == []


def test_what_is_allowed_is_not_named() -> None:
    both = f"{SPOILERS['threads']}; {SPOILERS['umask']}"

    assert left_by(both, allowed=("threads",)) == ["umask"]
