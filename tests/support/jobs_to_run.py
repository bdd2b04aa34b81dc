"""Functions that tests submit as jobs."""

import datetime as dt
import decimal
import math
import os
import signal
import sys
import threading
import time
from pathlib import Path

import gigq


def add(a, b):
    return a + b


released = threading.Semaphore(0)


def release():
    released.release()


def nothing():
    """Return None."""


def snooze():
    raise gigq.Snooze(60, "the file is not there yet")


def note(path, text="ran"):
    """Append a line to a file."""
    with Path(path).open("a") as file:
        file.write(f"{text}\n")
    return text


def note_process(path):
    """Append the id of this process to a file."""
    note(path, str(os.getpid()))


def fail(message="no luck"):
    raise ValueError(message)


def fail_until(path, successes_after):
    """Fail until it was called so many times."""
    note(path)
    calls = len(Path(path).read_text().splitlines())
    if calls < successes_after:
        raise RuntimeError(f"call {calls}")
    return calls


def give_a_set():
    return {1, 2}


def give_text(length):
    return "x" * length


def exit_process(code=0):
    sys.exit(code)


def press_ctrl_c():
    raise KeyboardInterrupt


def recurse():
    return recurse() + 1


def run_out_of_memory():
    raise MemoryError


def leave_generator():
    raise GeneratorExit


def vanish():
    os._exit(0)


def kill_itself(name):
    os.kill(os.getpid(), signal.Signals[name])


def wait_for(path, seconds=60):
    """Return when a file exists."""
    until = time.monotonic() + seconds
    while not Path(path).exists():
        if time.monotonic() > until:
            raise TimeoutError(path)
        time.sleep(0.005)
    return "found"


def meet(own, other):
    """Make a file and return when another one exists."""
    Path(own).touch()
    return wait_for(other)


def overrun(cleanup_path, seconds=60):
    """Sleep, and note that `finally` ran."""
    try:
        time.sleep(seconds)
    finally:
        note(cleanup_path, "cleaned up")


def swallow_exceptions(path, seconds=60):
    """Sleep under `except Exception`, which must not catch a timeout."""
    try:
        time.sleep(seconds)
    except Exception as error:  # noqa: BLE001 - the point of it
        note(path, repr(error))


def fork_and_return(path):
    """Fork; both processes return from the job."""
    child = os.fork()
    if child == 0:
        note(path, "child")
        return "child"
    os.waitpid(child, 0)
    return "parent"


def cancels_itself(path):
    """Have the only running job of a queue asked to end, and fail all the same."""
    queue = gigq.JobQueue(path)
    (running,) = queue.list_jobs(status="running")
    assert queue.cancel(running["id"], running=True)
    raise ValueError("all the same")


def keyed(parent_results):
    return parent_results


def any_keywords(**kwargs):
    return kwargs


def no_keywords():
    return "plain"


def by_position(parent_results, /):
    return parent_results


class Tools:
    @staticmethod
    def double(x):
        return 2 * x


def fail_with(text, note="", times=1):
    """Fail with any text, so many times over, and perhaps with a note."""
    error = ValueError(text * times)
    if note:
        error.add_note(note)
    raise error


def give(what, path=None):
    """Return a value of the kind that is named; `path` counts the calls."""
    if path:
        note(path)
    return RESULTS[what]()


def nested(levels):
    """Return a list in a list, so many levels deep."""
    value = []
    for _ in range(levels - 1):
        value = [value]
    return value


def count_levels(a):
    levels = 0
    while isinstance(a, list):
        levels, a = levels + 1, a[0] if a else None
    return levels


class UntellableError(Exception):
    def __str__(self):
        raise SystemExit("no text")

    @property
    def __notes__(self):
        raise RecursionError


class UntellableErrors(ExceptionGroup):
    @property
    def exceptions(self):
        raise KeyError("none")


class BrokenDict(dict):
    def items(self):
        raise RuntimeError("no items")


def fail_untellably(kind):
    raise (
        UntellableError()
        if kind == "exception"
        else UntellableErrors("group", [ValueError("inside")])
    )


RESULTS = {
    "datetime": lambda: dt.datetime(2026, 1, 2, tzinfo=dt.UTC),
    "decimal": lambda: decimal.Decimal("1.5"),
    "bytes": lambda: b"x",
    "set": lambda: {1},
    "too large": lambda: "x" * 2**21,
    "too deep": lambda: nested(101),
    "far too deep": lambda: nested(100_000),
    "broken": lambda: BrokenDict(a=1),
    "many digits": lambda: 10**5000,
    "deep": lambda: nested(100),
    "nan": lambda: {"n": math.nan, "i": [math.inf, -math.inf]},
}
