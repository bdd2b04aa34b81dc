"""The hooks of a plain worker: `Worker(..., hooks="module")` and `gigq worker`."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading

import pytest
from support.shell import clean_environment
from support.waiting import wait_until

from gigq import Job, JobQueue, Worker
from gigq.errors import HookFailed

HOOKS = """
import os
import threading

FILE = os.environ["HOOKS_LOG"]


def note(*words):
    with open(FILE, "a") as file:
        print(*words, threading.current_thread() is threading.main_thread(), file=file)


def worker_start():
    note("worker_start", os.getpid())


def before_job(job):
    note("before_job", job.name)


def after_job(job, error):
    note("after_job", job.name, type(error).__name__)


def worker_stop():
    note("worker_stop", os.getpid())
"""

JOBS = """
import time


def work():
    return 1


def fail():
    raise ValueError("no card")


def hang():
    time.sleep(60)
"""


@pytest.fixture
def application(tmp_path, monkeypatch):
    """A folder with jobs and hooks, and the modules in this process."""
    (tmp_path / "hooks_of_shop.py").write_text(HOOKS)
    (tmp_path / "jobs_of_shop.py").write_text(JOBS)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setenv("HOOKS_LOG", str(tmp_path / "log"))
    for name in ("hooks_of_shop", "jobs_of_shop"):
        monkeypatch.delitem(sys.modules, name, raising=False)
    yield tmp_path
    for name in ("hooks_of_shop", "jobs_of_shop"):
        sys.modules.pop(name, None)


def lines(folder):
    log = folder / "log"
    return log.read_text().splitlines() if log.exists() else []


def submit(folder, *names, **job):
    import jobs_of_shop

    queue = JobQueue(folder / "jobs.db")
    return queue, [queue.submit(Job(name, getattr(jobs_of_shop, name), **job)) for name in names]


def test_a_job_is_called_between_the_hooks_and_the_worker_started_before(application):
    submit(application, "work", "fail", max_attempts=1)
    worker = Worker(application / "jobs.db", hooks="hooks_of_shop")

    worker.process_one()
    worker.process_one()

    assert lines(application) == [
        f"worker_start {os.getpid()} True",
        "before_job work True",
        "after_job work NoneType True",
        "before_job fail True",
        "after_job fail ValueError True",
    ]


def test_start_calls_worker_stop_when_it_returns(application):
    submit(application, "work")
    worker = Worker(application / "jobs.db", hooks="hooks_of_shop")
    (application / "hooks_of_shop.py").write_text(
        HOOKS.replace("import os\n", "import os\nSTOP = []\n", 1)
        + "\ndef after_job(job, error):\n    note('after_job')\n    STOP[0]()\n"
    )
    import hooks_of_shop

    hooks_of_shop.STOP.append(worker.stop)
    worker.start()

    assert [line.split()[0] for line in lines(application)] == [
        "worker_start",
        "before_job",
        "after_job",
        "worker_stop",
    ]


def test_each_thread_calls_the_hooks_of_its_jobs_and_the_process_starts_once(application):
    queue, _ids = submit(application, *["work"] * 6)
    worker = Worker(application / "jobs.db", concurrency=3, hooks="hooks_of_shop")
    thread = threading.Thread(target=worker.start)
    thread.start()
    wait_until(lambda: queue.stats()["completed"] == 6, 20, why="six jobs")
    worker.stop()
    thread.join()

    found = [line.split()[0] for line in lines(application)]
    assert (found[0], found[-1]) == ("worker_start", "worker_stop")
    assert (found.count("before_job"), found.count("after_job")) == (6, 6)
    assert (found.count("worker_start"), found.count("worker_stop")) == (1, 1)
    inside = [line for line in lines(application) if "_job " in line]
    assert all(line.endswith("False") for line in inside)


def test_after_job_is_called_for_a_job_that_was_interrupted(application):
    queue, (job_id,) = submit(application, "hang", timeout=0.2, max_attempts=1)

    Worker(application / "jobs.db", hooks="hooks_of_shop").process_one()

    assert queue.get_status(job_id)["status"] == "timeout"
    assert lines(application)[-1] == "after_job hang JobTimeout True"


@pytest.mark.parametrize(
    ("source", "problem"),
    [
        ("def worker_start():\n    raise OSError('no port')\n", "worker_start of .* failed: OSErr"),
        ("def worker_start():\n    raise SystemExit(0)\n", "failed: SystemExit: 0"),
        ("x = 1\n", "has none of before_job"),
    ],
)
def test_hooks_that_cannot_be_used_cost_no_job_an_attempt(application, source, problem):
    queue, (job_id,) = submit(application, "work")
    (application / "hooks_of_shop.py").write_text(source)
    worker = Worker(application / "jobs.db", hooks="hooks_of_shop")

    for call in (worker.start, worker.process_one):
        with pytest.raises(HookFailed, match=problem):
            call()

    job = queue.get_status(job_id)
    assert (job["status"], job["attempts"]) == ("pending", 0)


# --- the command ---------------------------------------------------------------------------------


def gigq(folder, *arguments):
    return subprocess.run(
        [sys.executable, "-m", "gigq", *arguments],
        cwd=folder,
        env=clean_environment(HOOKS_LOG=str(folder / "log")),
        capture_output=True,
        text=True,
        check=False,
    )


def test_the_command_calls_the_hooks_of_its_option(application):
    submit(application, "work")

    done = gigq(application, "worker", "--once", "--db", "jobs.db", "--hooks", "hooks_of_shop")

    assert (done.returncode, done.stderr) == (0, "")
    found = [line.split()[0] for line in lines(application)]
    assert found == ["worker_start", "before_job", "after_job", "worker_stop"]


def test_the_command_calls_worker_stop_after_a_signal(application):
    process = subprocess.Popen(
        [sys.executable, "-m", "gigq", "worker", "--db", "jobs.db", "--hooks", "hooks_of_shop"],
        cwd=application,
        env=clean_environment(HOOKS_LOG=str(application / "log")),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        wait_until(lambda: lines(application), 20, why="worker_start")
        process.send_signal(signal.SIGTERM)
        assert process.wait(20) == 0
    finally:
        process.kill()
        process.wait()

    assert [line.split()[0] for line in lines(application)] == ["worker_start", "worker_stop"]


def test_the_command_says_why_its_hooks_cannot_be_used(application):
    (application / "hooks_of_shop.py").write_text("def worker_start():\n    raise SystemExit(0)\n")

    done = gigq(application, "worker", "--once", "--db", "jobs.db", "--hooks", "hooks_of_shop")

    assert done.returncode == 1
    assert done.stderr == "gigq: worker_start of hooks_of_shop failed: SystemExit: 0\n"
