"""Functions that tests submit as jobs: they look at themselves with `current_job()`."""

import asyncio
import contextvars
import os
import threading
import time
from pathlib import Path

from gigq import current_job


def describe():
    """All that a job can read about itself."""
    job = current_job()
    return {
        "id": job.id,
        "name": job.name,
        "queue": job.queue,
        "attempt": job.attempt,
        "max_attempts": job.max_attempts,
        "execution_id": job.execution_id,
        "remaining": job.remaining,
        "stop_requested": job.stop_requested,
        "cancel_requested": job.cancel_requested,
    }


def elsewhere():
    """The job's id as it is seen in a coroutine, in a fork, and in two kinds of threads."""

    async def coroutine():
        return current_job().id

    seen = {}
    plain = threading.Thread(target=lambda: seen.update(plain=current_job()))
    context = contextvars.copy_context()
    copied = threading.Thread(
        target=context.run, args=(lambda: seen.update(copied=current_job().id),)
    )
    for thread in (plain, copied):
        thread.start()
        thread.join()
    return {**seen, "coroutine": asyncio.run(coroutine()), "fork": in_a_fork()}


def in_a_fork():
    reading, writing = os.pipe()
    pid = os.fork()
    if not pid:
        os.write(writing, current_job().id.encode())
        os._exit(0)
    os.waitpid(pid, 0)
    os.close(writing)
    with os.fdopen(reading) as pipe:
        return pipe.read()


def meet(folder, parties):
    """Run together with others of its kind; the id that each sees of itself."""
    Path(folder, current_job().id).touch()
    until(lambda: len(list(Path(folder).iterdir())) >= parties)
    return current_job().id


def until_told(started, what):
    """Note that it runs, and run until it is asked to stop or that it is cancelled."""
    Path(started).touch()
    until(lambda: getattr(current_job(), what))
    return f"saw {what}"


def fail_when_cancelled(started):
    """Note that it runs, and raise once it is cancelled."""
    until_told(started, "cancel_requested")
    raise RuntimeError("gave up")


def ask_often(started, enough):
    """Ask whether it is cancelled, again and again until a file exists; how often it asked."""
    Path(started).touch()
    asked = 0
    while not Path(enough).exists():
        assert not current_job().cancel_requested
        asked += 1
    return asked


def ask_after(started, go_on):
    """Wait for a file, and only then ask whether it is cancelled."""
    Path(started).touch()
    until(Path(go_on).exists)
    return current_job().cancel_requested


def until(condition):
    end = time.monotonic() + 30
    while not condition():
        if time.monotonic() > end:
            raise AssertionError("nothing happened for half a minute")
        time.sleep(0.005)
