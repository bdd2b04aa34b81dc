"""Jobs that wait in one call for ever, and note what interrupts them and that they cleaned up."""

from __future__ import annotations

import asyncio
import fcntl
import http.client
import multiprocessing
import os
import queue
import re
import select
import socket
import subprocess
import threading
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from support.calls import note, noted

from gigq import current_job
from gigq.errors import JobInterrupted

if TYPE_CHECKING:
    from collections.abc import Callable

_AGES = 3600
CLEANUP = 0.2


def wait(ledger: str, job: str, how: str) -> None:
    """Wait in one of the ways of `WAITS`, and take a while to clean up."""
    with noted(ledger, job):
        try:
            WAITS[how]()
        except JobInterrupted as error:
            note(ledger, what="raised", job=job, error=type(error).__name__)
            raise
        finally:
            _work_for(CLEANUP)
            note(ledger, what="cleaned", job=job)


def return_when_interrupted(ledger: str, job: str) -> str:
    """Swallow the interruption and return."""
    with noted(ledger, job):
        try:
            time.sleep(_AGES)
        except JobInterrupted as error:
            _work_for(CLEANUP)
            return type(error).__name__
        return "nothing"


def return_when_wanted(ledger: str, job: str) -> str:
    """Look whether the job is to end, and return early when it is."""
    with noted(ledger, job):
        running = current_job()
        assert running is not None
        while not (running.cancel_requested or running.stop_requested):
            time.sleep(0.01)
        _work_for(CLEANUP)
        return "saved"


def raise_later(ledger: str, job: str) -> None:
    """Swallow the interruption, and fail for another reason afterwards."""
    with noted(ledger, job):
        with suppress(JobInterrupted):
            time.sleep(_AGES)
        _work_for(CLEANUP)
        raise ValueError("unrelated")


def _work_for(seconds: float) -> None:
    """Be in Python code and in calls for a while: a second interruption would show."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        time.sleep(0.005)


# --- the ways ----------------------------------------------------------------------------------


def _run() -> None:
    subprocess.run(["sleep", str(_AGES)], check=True)


def _check_output() -> None:
    subprocess.check_output(["sleep", str(_AGES)])


def _waitpid() -> None:
    child = subprocess.Popen(["sleep", str(_AGES)])
    try:
        os.waitpid(child.pid, 0)
    finally:
        child.kill()
        child.wait()


def _read_pipe() -> None:
    reader, writer = os.pipe()
    try:
        os.read(reader, 1)
    finally:
        os.close(reader)
        os.close(writer)


def _recv() -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        ours.recv(1)


def _accept() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.accept()


def _queue_get() -> None:
    queue.Queue[Any]().get()


def _lock() -> None:
    lock = threading.Lock()
    lock.acquire()
    lock.acquire()


def _condition() -> None:
    condition = threading.Condition()
    with condition:
        condition.wait()


def _join() -> None:
    thread = threading.Thread(target=time.sleep, args=(_AGES,), daemon=True)
    thread.start()
    thread.join()


def _flock() -> None:
    file = os.memfd_create("lock")
    ours, theirs = (os.open(f"/proc/self/fd/{file}", os.O_RDWR) for _ in range(2))
    fcntl.flock(theirs, fcntl.LOCK_EX)
    fcntl.flock(ours, fcntl.LOCK_EX)


def _select() -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        select.select([ours], [], [])


def _poll() -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        poll = select.poll()
        poll.register(ours, select.POLLIN)
        poll.poll()


def _sleep() -> None:
    time.sleep(_AGES)


def _request() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        connection = http.client.HTTPConnection(*server.getsockname())
        connection.request("GET", "/")
        connection.getresponse()


def _coroutine() -> None:
    asyncio.run(asyncio.sleep(_AGES))


def _beside_threads() -> None:
    for _ in range(3):
        threading.Thread(target=time.sleep, args=(_AGES,), daemon=True).start()
    _recv()


def _beside_busy_threads() -> None:
    for _ in range(2):
        threading.Thread(target=_count, daemon=True).start()
    _recv()


def _count() -> None:
    while True:
        time.sleep(0.0001)


def _regular_expression() -> None:
    re.fullmatch(r"(a+)+", "a" * 64 + "b")


def _pool(method: str) -> Callable[[], None]:
    def use() -> None:
        with multiprocessing.get_context(method).Pool(2) as pool:
            pool.map(time.sleep, [_AGES, _AGES])

    return use


WAITS: dict[str, Callable[[], None]] = {
    "subprocess.run": _run,
    "check_output": _check_output,
    "waitpid": _waitpid,
    "pipe": _read_pipe,
    "recv": _recv,
    "accept": _accept,
    "queue.get": _queue_get,
    "lock": _lock,
    "condition": _condition,
    "join": _join,
    "flock": _flock,
    "select": _select,
    "poll": _poll,
    "sleep": _sleep,
    "request": _request,
    "coroutine": _coroutine,
    "beside_threads": _beside_threads,
    "beside_busy_threads": _beside_busy_threads,
    "regular_expression": _regular_expression,
    "pool_fork": _pool("fork"),
    "pool_spawn": _pool("spawn"),
    "pool_forkserver": _pool("forkserver"),
}

EIGHT = ("subprocess.run", "check_output", "waitpid", "pipe", "recv", "accept", "queue.get", "lock")
"""The calls that a job waits in most."""

STARTS_A_SERVER = ("pool_spawn", "pool_forkserver")
"""The ways that leave a process of multiprocessing's own, which ends when its worker has gone."""
