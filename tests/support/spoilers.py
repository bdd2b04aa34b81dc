"""Jobs that leave something behind in their worker, and jobs that look for it."""

from __future__ import annotations

import importlib
import json
import locale
import logging
import multiprocessing
import os
import resource
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

from support.jobs import noted

from gigq import JobCancelled, current_job

_LOCK = threading.Lock()
_KEPT: list[Any] = []
_CHILD = (
    "import signal, json; got = [signal.getsignal(n) for n in (signal.SIGINT, signal.SIGTERM)]; "
    "print(json.dumps([getattr(each, 'name', None) or each.__name__ for each in got]))"
)


def state() -> dict[str, Any]:
    """What a job can see of its process."""
    return {
        "directory": str(Path.cwd()),
        "umask": next(
            line.split()[1]
            for line in Path("/proc/self/status").read_text().splitlines()
            if line.startswith("Umask")
        ),
        "environment": sorted(set(os.environ) - {"GIGQD_WORKER"}),
        "locale": locale.setlocale(locale.LC_ALL),
        "interpreter": sys.getrecursionlimit(),
        "handlers": str(signal.getsignal(signal.SIGHUP)).split(" at ")[0],
        "timers": signal.getitimer(signal.ITIMER_VIRTUAL),
        "mask": sorted(signal.pthread_sigmask(signal.SIG_BLOCK, ())),
        "threads": len(os.listdir("/proc/self/task")),  # noqa: PTH208
        "limits": resource.getrlimit(resource.RLIMIT_CORE),
        "priority": os.getpriority(os.PRIO_PROCESS, 0),
        "path": list(sys.path),
    }


def look(ledger: str, job: str) -> dict[str, Any]:
    """Return what the job finds around it."""
    with noted(ledger, job):
        return state()


SPOILERS: dict[str, Any] = {
    "directory": lambda: os.chdir("/"),
    "umask": lambda: os.umask(0o123),
    "environment": lambda: os.environ.update(SHOP="open"),
    "locale": lambda: locale.setlocale(locale.LC_NUMERIC, "C.UTF-8"),
    "interpreter": lambda: sys.setrecursionlimit(5000),
    "handlers": lambda: signal.signal(signal.SIGHUP, signal.SIG_IGN),
    "timers": lambda: signal.setitimer(signal.ITIMER_VIRTUAL, 600),
    "mask": lambda: signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGWINCH}),
    "threads": lambda: [threading.Thread(target=time.sleep, args=(9,)).start() for _ in range(50)],
    "children": lambda: subprocess.Popen(["sleep", "600"]),
    "descriptors": lambda: _KEPT.extend(os.open(os.devnull, os.O_RDONLY) for _ in range(50)),
    "limits": lambda: resource.setrlimit(resource.RLIMIT_CORE, (0, 0)),
    "priority": lambda: os.nice(1),
    "path": lambda: sys.path.append("/shop"),
}  # fmt: skip


POOLS: dict[str, Any] = {"pool": lambda: multiprocessing.get_context("fork").Pool(2)}


def spoil(ledger: str, job: str, what: str) -> None:
    """Leave something of a kind behind."""
    with noted(ledger, job):
        _KEPT.append((SPOILERS | POOLS)[what]())


def spoil_and_fail(ledger: str, job: str, what: str) -> None:
    """Leave something of a kind behind, and raise."""
    spoil(ledger, job, what)
    raise RuntimeError(what)


def leave_a_transaction_open(ledger: str, job: str, database: str) -> None:
    """Begin a write transaction on the queue's own file, and never end it."""
    with noted(ledger, job):
        connection = sqlite3.connect(database, isolation_level=None)
        connection.execute("BEGIN IMMEDIATE")
        _KEPT.append(connection)


def use_a_forkserver(ledger: str, job: str, *, fail: bool) -> str:
    """Have a process of the forkserver, which serves this worker from then on, do something."""
    with noted(ledger, job):
        with multiprocessing.get_context("forkserver").Pool(1) as pool:
            answer: str = pool.apply(str, ("done",))
        if fail:
            raise RuntimeError("after its work")
        return answer


def exhaust_descriptors(ledger: str, job: str, *, keep: bool) -> None:
    """Open files until the kernel refuses, and keep them and a child or not."""
    with noted(ledger, job):
        if keep:
            _KEPT.append(subprocess.Popen(["sleep", "600"]))
        mine: list[int] = []
        try:
            while True:
                mine.append(os.open(os.devnull, os.O_RDONLY))
        finally:
            for each in mine if not keep else ():
                os.close(each)


# --- interrupted in a bad place --------------------------------------------------------------


class Slow:
    """Takes long to go."""

    def __del__(self) -> None:
        """Where an exception from outside is swallowed."""
        time.sleep(600)


def trap(ledger: str, job: str, where: str) -> None:
    """Run into the time limit in the worst place."""
    with noted(ledger, job):
        _TRAPS[where]()


def _in_finally() -> None:
    try:
        _KEPT.append(1)
    finally:
        time.sleep(600)


def _in_del() -> None:
    slow = Slow()
    del slow


def _in_import() -> None:
    importlib.import_module("slow_shop")


def _with_lock_held() -> None:
    _LOCK.acquire()
    logging.getLogger("shop").warning("locked")
    time.sleep(600)


_TRAPS = {
    "finally": _in_finally,
    "del": _in_del,
    "import": _in_import,
    "lock": _with_lock_held,
}


def use_what_was_trapped(ledger: str, job: str) -> list[Any]:
    """Need what the trapped jobs held when they were interrupted."""
    with noted(ledger, job):
        free = _LOCK.acquire(timeout=1)
        if free:
            _LOCK.release()
        return [free, importlib.import_module("slow_shop").GOODS, len(_KEPT)]


# --- memory ----------------------------------------------------------------------------------


def use_memory(ledger: str, job: str, megabytes: int, *, keep: bool) -> None:
    """Use so much memory, and keep it or not."""
    with noted(ledger, job):
        block = bytearray(b"x") * (megabytes * 1024 * 1024)
        if keep:
            _KEPT.append(block)


def grow(ledger: str, job: str, megabytes: int, *, keep: bool) -> None:
    """Use more and more memory up to so much, over a second or two, and stay a moment."""
    with noted(ledger, job):
        blocks = []
        for _ in range(20):
            blocks.append(bytearray(b"x") * (megabytes * 1024 * 1024 // 20))
            time.sleep(0.05)
        if keep:
            time.sleep(1)


def use_memory_in_a_child(ledger: str, job: str, megabytes: int) -> None:
    """Have a child use so much memory and so much time."""
    with noted(ledger, job):
        work = "import time\nwhile time.process_time() < 0.3: pass"
        program = f"x = bytearray(b'x') * ({megabytes} << 20)\n{work}"
        subprocess.run([sys.executable, "-c", program], check=True)


# --- what a job knows of itself --------------------------------------------------------------


def tell_of_itself(ledger: str, job: str) -> dict[str, Any]:
    """Return what `current_job()` says."""
    with noted(ledger, job):
        me = current_job()
        assert me is not None
        names = ("id", "name", "queue", "attempt", "max_attempts", "execution_id")
        known = {name: getattr(me, name) for name in names}
        first = me.remaining
        time.sleep(0.05)
        asked = {"stop": me.stop_requested, "cancel": me.cancel_requested}
        return {**known, **asked, "remaining": [first, me.remaining]}


def wait_for_stop(ledger: str, job: str) -> str:
    """Work until a stop is wished for."""
    with noted(ledger, job):
        me = current_job()
        assert me is not None
        while not me.stop_requested:
            time.sleep(0.01)
        return "stopped by itself"


def wait_for_cancel(ledger: str, job: str, written: str) -> None:
    """Work until it is cancelled, and write down what it was sent."""
    with noted(ledger, job):
        me = current_job()
        assert me is not None
        try:
            while not me.cancel_requested:
                time.sleep(0.01)
            words = "asked"
            time.sleep(600)
        except JobCancelled:
            words = f"raised, {me.cancel_requested}"
        Path(written).write_text(words)
        time.sleep(600)


def environment_of_a_child(ledger: str, job: str) -> dict[str, Any]:
    """Return what a process that the job starts finds."""
    with noted(ledger, job):
        ran = subprocess.run([sys.executable, "-c", _CHILD], check=True, capture_output=True)
        status = subprocess.run(["cat", "/proc/self/status"], check=True, capture_output=True)
        lines = dict(line.split(":\t", 1) for line in status.stdout.decode().splitlines())
        return {
            "environment": dict(os.environ),
            "handlers": json.loads(ran.stdout),
            "blocked": int(lines["SigBlk"], 16),
            "ignored": int(lines["SigIgn"], 16),
        }


# --- leaving ---------------------------------------------------------------------------------


def raise_this(ledger: str, job: str, what: str) -> None:
    """Raise an exception that is no Exception, or close to it."""
    with noted(ledger, job):
        raise {"GeneratorExit": GeneratorExit, "SystemExit": SystemExit, "0": SystemExit(0)}[what]
