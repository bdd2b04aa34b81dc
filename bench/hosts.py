"""Measure several hosts on one PostgreSQL server: `python -m bench.hosts [drain] [cancel] [lost]
[renewals]`, as root.

Each host is a set of namespaces of this machine with a daemon of two workers, so that the figures
show what sharing the queue costs, and not what further machines bring.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bench import servers
from gigq import Job, JobQueue

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

_APART = ("unshare", "--pid", "--mount", "--uts", "--fork", "--kill-child", "--mount-proc")
_COUNT = 2000
_CANCELS = 15
_LEASE = 6
_RENEWALS = "SELECT n_tup_upd FROM pg_stat_user_tables WHERE relname = 'gigq_processes'"
_IDLE_SECONDS = 60.0


def nothing() -> None:
    """Do nothing."""


def work() -> None:
    """Work for 10 ms without the processor."""
    time.sleep(0.01)


def wait(path: str) -> None:
    """Note the start, and work until a cancel."""
    Path(path).touch()
    while True:
        time.sleep(0.01)


@contextmanager
def host(name: str, home: Path, address: str, **settings: Any) -> Iterator[None]:
    """A host with a daemon that is ready."""
    folder = Path(tempfile.mkdtemp(prefix=f"{name}-", dir=home))
    config, log = folder / "gigq.toml", folder / "log"
    given = {"database": address, "lease": 30, **settings}
    config.write_text(
        f'[daemon]\nruntime_dir = "run"\n[log]\nfile = "{log}"\nformat = "json"\n[queue]\n'
        + "".join(f"{key} = {json.dumps(value)}\n" for key, value in given.items())
        + f'[code]\npython_path = ["{Path(__file__).parents[1]}"]\n[pools.default]\nsize = 2\n'
    )
    run = f"hostname {name} && exec {sys.executable} -m gigqd --config {config} run"
    with (folder / "output").open("wb") as output:
        process = subprocess.Popen([*_APART, "sh", "-c", run], stdout=output, stderr=output)
    try:
        _until(lambda: log.exists() and '"daemon_ready"' in log.read_text())
        yield
    finally:
        process.kill()
        process.wait()


@contextmanager
def hosts(count: int, home: Path, address: str, **settings: Any) -> Iterator[None]:
    """Some hosts."""
    with ExitStack() as stack:
        for number in range(count):
            stack.enter_context(host(f"host{number}", home, address, **settings))
        yield


def drain(count: int, home: Path, address: str, function: Callable[[], None]) -> float:
    """Jobs per second of some hosts, from the end of a pause to the last job."""
    with JobQueue(address) as queue, hosts(count, home, address):
        queue.pause()
        queue.submit_many([Job(f"j{n}", function) for n in range(_COUNT)])
        began = time.monotonic()
        queue.resume()
        _until(lambda: queue.stats()["completed"] == _COUNT, step=0.05)
        seconds = time.monotonic() - began
        queue.clear_completed()
        return _COUNT / seconds


def cancels(home: Path, address: str) -> list[float]:
    """Seconds from `cancel(running=True)` here to the end of a job on another host."""
    found = []
    with JobQueue(address) as queue, hosts(1, home, address):
        for number in range(_CANCELS):
            started = home / f"started{number}"
            job_id = queue.submit(Job(f"c{number}", wait, {"path": str(started)}))
            _until(started.exists)
            began = time.monotonic()
            queue.cancel(job_id, running=True)
            _until(partial(_is_cancelled, queue, job_id))
            found.append(time.monotonic() - began)
    return found


def lost(home: Path, address: str) -> float:
    """Seconds from the death of a host to the next start of its job on another one."""
    started = home / "lost"
    started.unlink(missing_ok=True)
    with JobQueue(address) as queue, ExitStack() as stack:
        with host("dies", home, address, lease=_LEASE):
            job_id = queue.submit(Job("lost", wait, {"path": str(started)}))
            _until(started.exists)
            started.unlink()
            stack.enter_context(host("lives", home, address, lease=_LEASE))
        died = time.monotonic()
        _until(started.exists)
        seconds = time.monotonic() - died
        queue.cancel(job_id, running=True)
        _until(partial(_is_cancelled, queue, job_id))
        return seconds


def renewals(home: Path, address: str) -> float:
    """Renewals of a lease of 30 s per minute, by an idle daemon."""
    import psycopg

    with hosts(1, home, address), psycopg.connect(address, autocommit=True) as connection:

        def count() -> int:
            connection.execute("SELECT pg_stat_force_next_flush()")
            return int((connection.execute(_RENEWALS).fetchone() or (0,))[0])

        before = count()
        time.sleep(_IDLE_SECONDS)
        return (count() - before) / (_IDLE_SECONDS / 60)


def main() -> None:
    """Measure what is named, or everything, and print a line for each figure."""
    chosen = sys.argv[1:] or [*_FIGURES]
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder)
        home.chmod(0o755)
        with servers.server("postgres", home / "server"):
            address = f"postgresql://bench@/bench?host={home / 'server'}"
            for name in chosen:
                for line in _FIGURES[name](home, address):
                    print(line, flush=True)


def _drains(home: Path, address: str) -> Iterator[str]:
    for function in (nothing, work):
        for count in (1, 2, 3):
            rates = sorted(round(drain(count, home, address, function)) for _ in range(3))
            yield f"{function.__name__}, {count} hosts: {rates} jobs/s"


def _cancels(home: Path, address: str) -> Iterator[str]:
    times = sorted(round(one * 1000) for one in cancels(home, address))
    yield f"cancel on another host: {times} ms"


def _lost(home: Path, address: str) -> Iterator[str]:
    for _ in range(3):
        yield f"lease of {_LEASE} s: {lost(home, address):.2f} s from a death to the next start"


def _renewals(home: Path, address: str) -> Iterator[str]:
    yield f"renewals of 30 s: {renewals(home, address):.1f} a minute"


def _is_cancelled(queue: JobQueue, job_id: str) -> bool:
    return bool(queue.get_status(job_id)["status"] == "cancelled")


def _until(condition: Callable[[], object], within: float = 120.0, step: float = 0.005) -> None:
    end = time.monotonic() + within
    while not condition():
        if time.monotonic() > end:
            raise TimeoutError(condition)
        time.sleep(step)


_FIGURES = {"drain": _drains, "cancel": _cancels, "lost": _lost, "renewals": _renewals}


if __name__ == "__main__":
    main()
