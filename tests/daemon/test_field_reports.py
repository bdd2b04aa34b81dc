"""What went wrong in other queues, from their public bug reports, played against gigqd."""

from __future__ import annotations

import subprocess
import sys
from importlib import import_module

import pytest
from support import jobs
from support import jobs_of_field_reports as reports
from support.calls import entries
from support.daemon import TESTS

from gigq import Job

pytestmark = pytest.mark.daemon

ONE = {"pools.default.size": 1}
LIMIT = 0.5


def run(daemon, function, **job):
    """What became of one job."""
    return daemon.wait_for_job(daemon.queue.submit(Job(function.__name__, function, **job)))


def test_an_error_that_cannot_be_pickled_fails_its_job_and_the_worker_goes_on(daemons):
    """celery/celery#6990: an exception whose constructor wants more than its args crashed it."""
    daemon = daemons(ONE)

    failed = run(daemon, reports.decline, max_attempts=2)
    after = run(daemon, reports.bags_left)

    assert (failed["status"], failed["attempts"]) == ("failed", 2)
    assert (failed["error_type"].split(".")[-1], failed["error_message"]) == (
        "CardError",
        "card declined",
    )
    assert after["status"] == "completed"
    assert daemon.events("worker_exited") == []


def test_a_job_that_handles_every_exception_is_ended_at_its_limit_all_the_same(daemons):
    """rq/rq#2296: the timeout was an Exception, so `except Exception` swallowed it."""
    daemon = daemons()

    job_id = daemon.submit(reports.handle_every_exception, "a", timeout=LIMIT, max_attempts=1)
    job = daemon.wait_for_job(job_id)

    assert (job["status"], job["result"]) == ("timeout", None)
    assert job["executions"][0]["killed"] is None


def test_a_worker_says_each_thing_once_in_an_application_with_a_handler_at_the_root(tmp_path):
    """coleifer/huey#693: a handler at the root printed each of the consumer's lines twice."""
    (tmp_path / "shop_with_root.py").write_text(
        "import logging\n"
        "logging.basicConfig(level=logging.INFO)\n"
        "def boom(): raise ValueError('out of stock')\n"
    )
    submit = (
        "import gigq, shop_with_root as shop\n"
        "queue = gigq.JobQueue('jobs.db')\n"
        "queue.submit(gigq.Job('packing', shop.boom, max_attempts=1))\n"
    )
    subprocess.run([sys.executable, "-c", submit], cwd=tmp_path, check=True)

    worker = subprocess.run(
        [sys.executable, "-m", "gigq", "worker", "--db", "jobs.db", "--once"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=True,
    )
    said = (worker.stdout + worker.stderr).splitlines()

    assert sum("packing" in line and "out of stock" in line for line in said) == 1


def test_two_workers_do_not_draw_the_same_random_numbers(daemons):
    """binarymatt/pyres#82: each forked job began with the state of the process it came from."""
    daemon = daemons({**ONE, "pools.default.recycle_after_jobs": 1, "code.imports": ["random"]})

    drawn = [run(daemon, reports.draw)["result"] for _ in range(4)]

    assert len({pid for pid, _ in drawn}) == 4
    assert len({number for _, number in drawn}) == 4


def test_jobs_that_waited_while_nothing_ran_are_taken_up_in_every_queue(daemons):
    """bensheldon/good_job#171: after a restart only the first pool looked for old jobs."""
    queues = ("default", "mail", "reports")
    pools = {f"pools.{name}.queues": [name] for name in queues}
    daemon = daemons({**pools, **{f"pools.{name}.size": 1 for name in queues}}, start=False)
    waiting = [daemon.submit(jobs.ok, name, queue=name) for name in queues]

    daemon.start()

    assert [daemon.wait_for_job(job_id)["status"] for job_id in waiting] == ["completed"] * 3


def test_a_thread_of_a_job_that_dies_of_an_exception_takes_no_worker_with_it(daemons):
    """rails/solid_queue#131: it ended the worker, although the job had dealt with it."""
    daemon = daemons(ONE)

    first, second = (run(daemon, reports.let_a_thread_fail) for _ in range(2))

    assert first["status"] == second["status"] == "completed"
    assert first["result"] == second["result"]
    assert "card declined" in first["executions"][0]["output"]


@pytest.mark.parametrize("gone", ["function", "module"])
def test_a_job_whose_code_was_deleted_fails_and_those_behind_it_run(
    daemons, tmp_path, monkeypatch, gone
):
    """coleifer/huey#815: a stored task without its code was tried for ever."""
    settings = {**ONE, "queue.unknown_function_wait": "1s"}
    monkeypatch.syspath_prepend(str(tmp_path))
    name = f"shop_without_{gone}"
    code = tmp_path / f"{name}.py"
    code.write_text("def work(): pass\n")
    work = import_module(name).work
    daemon = daemons({**settings, "code.python_path": [str(TESTS), str(tmp_path)]}, start=False)
    orphan = daemon.queue.submit(Job("orphan", work, max_attempts=2))
    behind = daemon.queue.submit(Job("behind", reports.bags_left))

    if gone == "function":
        code.write_text("")
    else:
        code.unlink()
    daemon.start()

    assert daemon.wait_for_job(behind)["status"] == "completed"
    assert daemon.wait_for_job(orphan)["status"] == "failed"
    assert name in daemon.job(orphan)["error"]


def test_what_a_failed_job_held_is_gone_from_the_memory_of_its_worker(daemons):
    """agronholm/apscheduler#235: the traceback of the error kept the job's variables."""
    daemon = daemons(ONE)

    failed = run(daemon, reports.fill_a_bag_and_fail, max_attempts=3)
    left = run(daemon, reports.bags_left)

    assert (failed["status"], failed["attempts"]) == ("failed", 3)
    assert left["result"] == [daemon.worker_pids()[0], 0]
    assert daemon.events("worker_exited") == []


def test_a_coroutine_that_is_out_of_time_may_await_its_cleanup_with_its_parameters(daemons):
    """python-arq/arq#434: the log did not say what had timed out and had to be cleaned up."""
    daemon = daemons()
    job_id = daemon.submit(
        reports.await_for_ever, "a", {"order": "42"}, timeout=LIMIT, max_attempts=1
    )

    job = daemon.wait_for_job(job_id)
    cleaned = [line["order"] for line in entries(daemon.ledger) if line["what"] == "cleaned"]

    assert (job["status"], job["executions"][0]["killed"]) == ("timeout", None)
    assert cleaned == ["42"]


def test_a_queue_goes_on_when_the_last_attempt_of_a_job_has_killed_its_worker(daemons):
    """graphile/worker#254: a queue stayed locked by a job that had no attempt left."""
    daemon = daemons({**ONE, "pools.default.queues": ["mail"]})
    last = daemon.submit(jobs.kill_worker, "last", queue="mail", max_attempts=1)
    behind = daemon.submit(jobs.ok, "behind", queue="mail")

    assert daemon.wait_for_job(last)["status"] == "failed"
    assert daemon.wait_for_job(behind)["status"] == "completed"
