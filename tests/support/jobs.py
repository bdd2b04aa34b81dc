"""Job functions for tests: well-behaved ones and every kind of misbehaviour.

Each takes a ledger, a file outside the queue, and the key of the job it stands for. Every call
appends a line when it starts and one when it ends; what a killed call never writes is its end.
What few of them use is imported late, because each worker of each test imports this module.
"""

from __future__ import annotations

import ctypes
import logging
import os
import resource
import signal
import sys
import threading
import time
from pathlib import Path
from typing import Any

from support.calls import Call, calls, child_pids, entries, line_of, note, noted

from gigq.store.sqlite.connections import open_connection
from gigqd.linux import syscalls

__all__ = ["Call", "calls", "child_pids", "entries", "note", "noted"]

_AGES = 3600.0


# --- jobs that behave ------------------------------------------------------------------------


def ok(ledger: str, job: str, value: Any = None) -> Any:
    """Return at once."""
    with noted(ledger, job):
        return value


def environment(ledger: str, job: str, names: list[str]) -> dict[str, Any]:
    """Return what surrounds the job: folder, process, some variables."""
    with noted(ledger, job):
        variables = {name: os.environ.get(name) for name in names}
        return {"cwd": str(Path.cwd()), "pid": os.getpid(), "uid": os.getuid(), "env": variables}


def loaded_modules(ledger: str, job: str) -> list[str]:
    """Return the names of the modules that the worker has loaded."""
    with noted(ledger, job):
        return [*sys.modules]


def limit_file_size(ledger: str, job: str, hard: bool = False) -> None:
    """Let no file of this process grow any more, for good where it is `hard`."""
    with noted(ledger, job):
        most = resource.getrlimit(resource.RLIMIT_FSIZE)[1]
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0 if hard else most))


def change_root(ledger: str, job: str) -> None:
    """Take every path from this process, that of the database too."""
    with noted(ledger, job):
        pass
    os.chroot("/proc/self/fdinfo")


def change_root_when_asked(ledger: str, job: str, request: str) -> None:
    """Do so after this job, once a file `request` appears, which is removed then."""
    asked = Path(request)
    with noted(ledger, job):
        folder = os.open(asked.parent, os.O_RDONLY)

    def change() -> None:
        while not asked.exists():
            time.sleep(0.01)
        os.chroot("/proc/self/fdinfo")
        os.unlink(asked.name, dir_fd=folder)

    threading.Thread(target=change, daemon=True).start()


def file_limit(ledger: str, job: str) -> int:
    """Return how many files a job may have open."""
    with noted(ledger, job):
        return resource.getrlimit(resource.RLIMIT_NOFILE)[0]


def synchronous(ledger: str, job: str, database: str) -> int:
    """Return how the worker's own connection commits: 1 is NORMAL, 2 is FULL."""
    with noted(ledger, job):
        return int(open_connection(database).execute("PRAGMA synchronous").fetchone()[0])


def sleep_py(ledger: str, job: str, seconds: float = _AGES) -> str:
    """Sleep in steps, as Python code that can be interrupted anywhere."""
    with noted(ledger, job):
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            time.sleep(0.01)
    return "slept"


def tiny(ledger: str, job: str, how: str = "", path: str = "") -> None:
    """Return at once, as nearly always; or wait for a file, or die, under the same name."""
    with noted(ledger, job):
        if how == "wait":
            while not Path(path).exists():
                time.sleep(0.01)
        elif how == "die":
            os.kill(os.getpid(), signal.SIGKILL)
        elif how == "raise":
            raise ValueError("one of many")


def wait_for_file(ledger: str, job: str, path: str) -> str:
    """Run until a file exists: a job whose end the test decides."""
    with noted(ledger, job):
        while not Path(path).exists():
            time.sleep(0.01)
    return "seen"


def beat(ledger: str, job: str, path: str) -> None:
    """Note the time in a file every few milliseconds, until a file `path`.end exists."""
    with noted(ledger, job):
        beats = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        while not Path(f"{path}.end").exists():
            os.write(beats, f"{time.time()}\n".encode())
            time.sleep(0.005)


def add_up(ledger: str, job: str, parent_results: dict[str, int]) -> int:
    """The sum of what the parents returned."""
    with noted(ledger, job):
        return sum(parent_results.values())


def say(ledger: str, job: str, text: str) -> None:
    """Print a line."""
    with noted(ledger, job):
        print(text)  # noqa: T201 - it is what this job does


def close_output(ledger: str, job: str) -> str:
    """Close the standard output, as if it were the job's own."""
    with noted(ledger, job):
        print("the last")  # noqa: T201 - it is what this job does
        sys.stdout.close()
        return "closed"


def log_a_line(ledger: str, job: str, message: str) -> None:
    """Log a line as any application does."""
    with noted(ledger, job):
        logging.getLogger("shop").warning(message)


# --- jobs that fail --------------------------------------------------------------------------


def boom(ledger: str, job: str, message: str = "boom") -> None:
    """Raise."""
    with noted(ledger, job):
        raise RuntimeError(message)


def flaky(ledger: str, job: str, failures: int) -> int:
    """Fail so many times, then return the number of the call that succeeded."""
    with noted(ledger, job):
        number = sum(line["job"] == job for line in entries(ledger, "start"))
        if number <= failures:
            raise RuntimeError(f"call {number} of {job} fails")
        return number


def leave(ledger: str, job: str, code: int = 3) -> None:
    """Raise SystemExit."""
    with noted(ledger, job):
        raise SystemExit(code)


def interrupt(ledger: str, job: str) -> None:
    """Raise KeyboardInterrupt."""
    with noted(ledger, job):
        raise KeyboardInterrupt


def close_generator(ledger: str, job: str) -> None:
    """Raise GeneratorExit."""
    with noted(ledger, job):
        raise GeneratorExit


def raise_base(ledger: str, job: str) -> None:
    """Raise an exception that no `except Exception` catches."""
    with noted(ledger, job):
        raise BaseException("beyond Exception")


def recurse(ledger: str, job: str) -> None:
    """Call itself until the interpreter refuses."""
    with noted(ledger, job):
        recurse_on()


def recurse_on() -> None:
    """One more."""
    recurse_on()


def exhaust_memory(ledger: str, job: str) -> None:
    """Ask for more memory than there is."""
    with noted(ledger, job):
        bytearray(2**62)


def os_exit(ledger: str, job: str, code: int = 7) -> None:
    """End the worker's process without a word."""
    with noted(ledger, job):
        os._exit(code)


def segv(ledger: str, job: str) -> None:
    """Read from address 0."""
    with noted(ledger, job):
        ctypes.string_at(0)


def kill_worker(ledger: str, job: str, number: int = signal.SIGKILL) -> None:
    """Signal the worker from within, as the kernel's out-of-memory killer would."""
    with noted(ledger, job):
        os.kill(os.getpid(), number)
        time.sleep(_AGES)


def unjsonable(ledger: str, job: str) -> Any:
    """Return what is no JSON."""
    with noted(ledger, job):
        return {"rows": [1, {2, 3}]}


# --- jobs that talk --------------------------------------------------------------------------


def print_and_hang(ledger: str, job: str) -> None:
    """Write a line in each way there is, and stay."""
    import subprocess

    with noted(ledger, job):
        print("to stdout")  # noqa: T201 - it is what this job does
        print("to stderr", file=sys.stderr)  # noqa: T201
        subprocess.run(["echo", "from a child"], check=True)
        _lock_twice(ctypes.CDLL(None))


def print_much(ledger: str, job: str, megabytes: int) -> None:
    """Write more than any limit keeps."""
    with noted(ledger, job):
        for _ in range(megabytes):
            sys.stdout.write(("x" * 1023 + "\n") * 1024)
        print("the last line")  # noqa: T201


# --- jobs that do not end --------------------------------------------------------------------


def sleep_c(ledger: str, job: str) -> None:
    """Be in one call to C for ever, the interpreter lock released."""
    with noted(ledger, job):
        _lock_twice(ctypes.CDLL(None))


def hold_gil(ledger: str, job: str) -> None:
    """Be in one call to C for ever, the interpreter lock held."""
    with noted(ledger, job):
        _lock_twice(ctypes.PyDLL(None))


def _lock_twice(library: ctypes.CDLL) -> None:
    """Wait for a mutex that this thread holds already: no signal ends it, and it costs nothing."""
    mutex = ctypes.create_string_buffer(128)
    library.pthread_mutex_lock(mutex)
    library.pthread_mutex_lock(mutex)


def ignore_signals(ledger: str, job: str) -> None:
    """Ignore and block every signal that can be, and every exception raised from outside."""
    with noted(ledger, job):
        for number in signal.valid_signals() - {signal.SIGKILL, signal.SIGSTOP}:
            signal.signal(number, signal.SIG_IGN)
        signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
        _sleep_through_everything()


def swallow_exceptions(ledger: str, job: str) -> None:
    """Catch what is raised from outside and go on."""
    with noted(ledger, job):
        _sleep_through_everything()


def _sleep_through_everything() -> None:
    end = time.monotonic() + _AGES
    while time.monotonic() < end:
        try:
            time.sleep(0.01)
        except BaseException:  # noqa: BLE001 - to be uninterruptible is its point
            continue


# --- jobs with children ----------------------------------------------------------------------


def spawn_children(
    ledger: str, job: str, ways: list[str] | None = None, *, stay: bool = True
) -> list[str]:
    """Start children that would outlive the job, each noted in the ledger.

    Args:
        ledger: the ledger.
        job: the job's key.
        ways: how: "plain", "setsid" or "double", each with "-fork" (never exec'd) or "-exec";
            all six when None.
        stay: whether to sleep afterwards instead of returning.
    """
    ways = ways or [f"{how}-{by}" for how in ("plain", "setsid", "double") for by in _BY]
    before = len(child_pids_of(ledger, job))
    with noted(ledger, job):
        for way in ways:
            how, _, by = way.partition("-")
            _start_child(how, _BY[by], ledger, job)
        while len(child_pids_of(ledger, job)) < before + len(ways):
            time.sleep(0.01)
        if stay:
            time.sleep(_AGES)
    return ways


def leave_children(ledger: str, job: str, path: str) -> None:
    """Start children that stay, wait for a file, and return."""
    spawn_children(ledger, job, ["setsid-exec", "double-exec"], stay=False)
    while not Path(path).exists():
        time.sleep(0.01)


def child_pids_of(ledger: str, job: str) -> list[int]:
    """The children that one job has noted."""
    return [line["pid"] for line in entries(ledger, "child") if line["job"] == job]


def _start_child(how: str, body: Any, ledger: str, job: str) -> None:
    pid = os.fork()
    if pid:
        if how == "double":
            os.waitpid(pid, 0)
        return
    try:
        if how in ("setsid", "double"):
            os.setsid()
        if how == "double" and os.fork():
            os._exit(0)
        body(ledger, job)
    finally:
        os._exit(1)


def _linger(ledger: str, job: str) -> None:
    note(ledger, what="child", job=job)
    time.sleep(_AGES)


def _exec_and_linger(ledger: str, job: str) -> None:
    """Note the child from another program: a shell, which starts in a moment."""
    script = 'printf "%s\\n" "$1" >>"$2"; exec sleep 3600'
    os.execv("/bin/sh", ["sh", "-c", script, "sh", line_of(what="child", job=job), ledger])


_BY = {"fork": _linger, "exec": _exec_and_linger}


def terminate_a_child(ledger: str, job: str) -> int | None:
    """Fork a process that would stay, end it as `multiprocessing` does; how it ended."""
    import multiprocessing

    with noted(ledger, job):
        child = multiprocessing.get_context("fork").Process(target=_linger, args=(ledger, job))
        child.start()
        while not child_pids_of(ledger, job):
            time.sleep(0.01)
        child.terminate()
        child.join()
        return child.exitcode


def leave_children_and_raise(ledger: str, job: str) -> None:
    """Note which children of earlier attempts live, start new ones, and fail."""
    survivors = [pid for pid in child_pids_of(ledger, job) if _lives(pid)]
    note(ledger, what="survivors", job=job, pids=survivors)
    spawn_children(ledger, job, ["plain-exec", "double-fork"], stay=False)
    raise RuntimeError("there is more of me")


def _lives(pid: int) -> bool:
    try:
        return syscalls.read_process(pid).alive
    except ProcessLookupError:
        return False


def shell_child(ledger: str, job: str) -> None:
    """Wait for a child that a shell started."""
    import subprocess

    with noted(ledger, job):
        child = subprocess.Popen(["/bin/sh", "-c", "sleep 3600 & wait"])
        note(ledger, what="child", job=job, pid=child.pid)
        child.wait()
