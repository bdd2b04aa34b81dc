"""The hooks of the daemon's workers: `[code] hooks`."""

from __future__ import annotations

import re
from collections import Counter

import pytest
from support import jobs
from support.waiting import wait_until

pytestmark = pytest.mark.daemon

HOOKS = """
import contextlib
import os
import sys
import threading
import time
from pathlib import Path

FILE = Path.cwd() / "hooks.log"


def note(*words):
    main = threading.current_thread() is threading.main_thread()
    with FILE.open("a") as file:
        file.write(f"{' '.join(map(str, words))} {os.getpid()} {main}\\n")


note("import", os.getppid())


def worker_start():
    note("worker_start")


def before_job(job):
    note("before_job", job.name)
    if job.name == "before exits":
        sys.exit(0)
    if job.name == "before hangs":
        time.sleep(3600)


def after_job(job, error):
    note("after_job", job.name.replace(" ", "-"), type(error).__name__)
    if job.name == "after raises":
        raise RuntimeError("not stored")
    if job.name == "after hangs":
        time.sleep(3600)
    while job.name == "after hangs on":
        with contextlib.suppress(BaseException):
            time.sleep(3600)


def worker_stop():
    note("worker_stop")
"""


@pytest.fixture
def daemon_with(daemons):
    """A function that starts a daemon with a module of hooks."""

    def make(source=HOOKS, settings=None, *, start=True):
        daemon = daemons({"pools.default.size": 1, **(settings or {})}, start=False)
        (daemon.home / "hooks_of_shop.py").write_text(source)
        path = [daemon.home, jobs.__file__.rpartition("/support/")[0]]
        daemon.configure(
            {"code.hooks": "hooks_of_shop", "code.python_path": [str(one) for one in path]}
        )
        if start:
            daemon.start()
        return daemon

    return make


def notes(daemon):
    log = daemon.home / "hooks.log"
    return [line.split() for line in log.read_text().splitlines()] if log.exists() else []


def test_a_job_is_called_between_the_hooks_of_its_worker(daemon_with):
    daemon = daemon_with()
    (worker,) = daemon.worker_pids()
    daemon.wait_for_job(daemon.submit(jobs.ok, "good"))
    daemon.wait_for_job(daemon.submit(jobs.boom, "bad", max_attempts=1))
    daemon.stop()

    pid = str(worker)
    assert notes(daemon) == [
        ["import", str(daemon.pid), pid, "True"],
        ["worker_start", pid, "True"],
        ["before_job", "good", pid, "True"],
        ["after_job", "good", "NoneType", pid, "True"],
        ["before_job", "bad", pid, "True"],
        ["after_job", "bad", "RuntimeError", pid, "True"],
        ["worker_stop", pid, "True"],
    ]


def test_many_short_jobs_have_both_hooks_once_each(daemon_with):
    daemon = daemon_with(settings={"pools.default.size": 2})
    with_results = [daemon.submit(jobs.ok, f"job-{n}", {"value": n}) for n in range(200)]
    for job_id in with_results:
        assert daemon.wait_for_job(job_id, within=60)["status"] == "completed"

    counted = Counter((what, name) for what, name, *_ in notes(daemon) if what.endswith("_job"))
    assert len(counted) == 400
    assert set(counted.values()) == {1}


def test_every_new_worker_starts_and_every_old_one_stops(daemon_with):
    daemon = daemon_with(settings={"pools.default.recycle_after_jobs": 1})
    for n in range(3):
        daemon.wait_for_job(daemon.submit(jobs.ok, f"job-{n}"))
    wait_until(lambda: daemon.slots("idle"), why="a worker that boots is ended by a stop")
    daemon.stop()

    started = [pid for what, pid, *_ in notes(daemon) if what == "worker_start"]
    stopped = [pid for what, pid, *_ in notes(daemon) if what == "worker_stop"]
    assert len(started) >= 3
    assert sorted(started) == sorted(stopped)


@pytest.mark.parametrize("name", ["before hangs", "after hangs"])
def test_a_hook_that_hangs_is_interrupted_by_the_jobs_limit_and_the_job_tried_again(
    daemon_with, name
):
    daemon = daemon_with()

    job_id = daemon.submit(jobs.ok, name, timeout=0.5, max_attempts=2)

    job = daemon.wait_for_job(job_id)
    assert (job["status"], job["attempts"]) == ("timeout", 2)
    hook = name.split()[0]
    assert f"raised by {hook}_job of hooks_of_shop" in job["error"]
    assert [one["status"] for one in job["executions"]] == ["timeout"] * 2
    assert len(daemon.calls(name)) == (0 if hook == "before" else 2)


def test_an_after_job_that_hangs_on_is_killed_and_its_stack_kept(daemon_with):
    daemon = daemon_with(settings={"pools.default.timeout_grace": "200ms"})

    job = daemon.wait_for_job(daemon.submit(jobs.ok, "after hangs on", timeout=0.5, max_attempts=1))

    assert job["status"] == "timeout"
    assert "it was killed" in job["error"]
    assert "in after_job" in job["executions"][-1]["stack"]
    assert daemon.wait_for_job(daemon.submit(jobs.ok, "next"))["status"] == "completed"


def test_a_hook_that_leaves_costs_the_attempt_and_no_worker(daemon_with):
    daemon = daemon_with()
    daemon.breaks("P4", "before_job leaves, so the function is never called")
    (worker,) = daemon.worker_pids()

    job = daemon.wait_for_job(daemon.submit(jobs.ok, "before exits", max_attempts=1))

    assert job["status"] == "failed"
    assert job["error"].startswith("SystemExit: 0\n(raised by before_job of hooks_of_shop;")
    assert daemon.calls("before exits") == []
    assert daemon.worker_pids() == [worker]


def test_a_failing_after_job_fails_a_success_and_is_logged_beside_a_failure(daemon_with):
    daemon = daemon_with()

    good = daemon.wait_for_job(daemon.submit(jobs.ok, "after raises", max_attempts=1))
    bad = daemon.wait_for_job(daemon.submit(jobs.boom, "after raises", max_attempts=1))

    assert good["error"].startswith("RuntimeError: not stored\n(raised by after_job")
    assert bad["error"].startswith("RuntimeError: boom\n")
    (line,) = daemon.events("hook.failed")
    assert (line["job_id"], line["hook"]) == (bad["id"], "hooks_of_shop.after_job")
    assert (line["level"], line["error_message"]) == ("error", "not stored")


def test_a_cancelled_job_has_its_after_job(daemon_with):
    daemon = daemon_with()
    job_id = daemon.submit(jobs.sleep_py, "long")
    daemon.wait_for_calls("long")

    daemon.queue.cancel(job_id, running=True)

    assert daemon.wait_for_job(job_id)["status"] == "cancelled"
    assert ["after_job", "long", "JobCancelled"] in [words[:3] for words in notes(daemon)]


def test_a_worker_stop_that_hangs_is_ended_after_the_hang_timeout(daemon_with):
    daemon = daemon_with(
        HOOKS + "    time.sleep(3600)\n",
        {"pools.default.recycle_after_jobs": 1, "pools.default.hang_timeout": "1s"},
    )
    first = daemon.submit(jobs.ok, "first")
    second = daemon.submit(jobs.ok, "second")

    daemon.wait_for_job(first)
    wait_until(lambda: daemon.slots("leaving"), why="worker_stop")

    assert daemon.wait_for_job(second)["status"] == "completed"
    assert daemon.job(first)["attempts"] == daemon.job(second)["attempts"] == 1
    assert daemon.wait_for_event("worker_exited")["signal"] == "SIGKILL"


def test_a_worker_stop_that_raises_is_logged_and_the_worker_leaves(daemon_with):
    daemon = daemon_with(HOOKS + "    raise OSError('no port')\n")

    daemon.stop()

    assert daemon.stopped_in_order
    (line,) = daemon.events("hook.failed")
    assert (line["hook"], line["error_message"]) == ("hooks_of_shop.worker_stop", "no port")


def test_a_worker_start_logs_into_the_daemons_log(daemon_with):
    line = "    import logging\n    logging.getLogger('shop').warning('the pool is open')\n"
    daemon = daemon_with(HOOKS.replace("worker_start():\n", f"worker_start():\n{line}"))

    found = daemon.wait_for_event("the pool is open")

    assert (found["level"], found["logger"], found["slot"]) == ("warning", "shop", "default/0")


def test_what_worker_start_opens_is_not_taken_for_a_leak_of_the_first_job(daemon_with):
    opens = "    threading.Thread(target=time.sleep, args=(3600,), daemon=True).start()\n"
    daemon = daemon_with(HOOKS.replace("worker_start():\n", f"worker_start():\n{opens}"))
    (worker,) = daemon.worker_pids()

    for n in range(3):
        daemon.wait_for_job(daemon.submit(jobs.ok, f"job-{n}"))

    assert daemon.worker_pids() == [worker]
    assert daemon.events("job_left_residue") == []


BAD = {
    "raise ValueError('no key')": "importing the hooks module hooks_of_shop failed: ValueError: no",
    "x = 1": "the hooks module hooks_of_shop has none of before_job",
    "def before_job():\n    pass": r"before_job of hooks_of_shop has the parameters \(\); write",
}


@pytest.mark.parametrize("source", BAD)
def test_check_finds_hooks_that_cannot_be_used(daemon_with, source):
    daemon = daemon_with(source, start=False)

    checked = daemon.command("check", "--import")

    assert checked.returncode == 76
    assert re.search(BAD[source], checked.stderr), checked.stderr


def test_check_imports_the_hooks_and_calls_none(daemon_with):
    daemon = daemon_with(start=False)

    checked = daemon.command("check", "--import")

    assert "imports: hooks_of_shop\n" in checked.stdout
    assert [what for what, *_ in notes(daemon)] == ["import"]


def test_a_reload_with_hooks_that_cannot_be_used_is_refused(daemon_with):
    daemon = daemon_with("def before_job(job):\n    pass\n")
    (daemon.home / "hooks_of_shop.py").write_text("def worker_start():\n    raise OSError(1)\n")

    reloaded = daemon.command("reload")

    assert reloaded.returncode == 76
    assert "worker_start of hooks_of_shop failed: OSError: 1" in reloaded.stderr
    assert daemon.wait_for_job(daemon.submit(jobs.ok, "still works"))["status"] == "completed"


def test_a_worker_start_that_fails_keeps_the_daemon_from_starting(daemon_with):
    daemon = daemon_with("def worker_start():\n    raise OSError('no port')\n", start=False)
    daemon.configure({"daemon.start_timeout": "5s"})

    started = daemon.command("start")

    assert started.returncode == 76
    assert "worker_start of hooks_of_shop failed: OSError: no port" in started.stderr
    assert f"{daemon.home}/hooks_of_shop.py:2" in started.stderr
