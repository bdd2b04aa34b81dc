"""A job that overruns stops in every state, and nothing else does."""

from __future__ import annotations

import psutil
import pytest
from support import jobs
from support.daemon import on_both_databases
from support.waiting import wait_until

pytestmark = [pytest.mark.daemon, on_both_databases]

TIMEOUT = 1.0
GRACE = 2.0
AT_MOST = 3.0

STUBBORN = [jobs.sleep_c, jobs.hold_gil, jobs.ignore_signals, jobs.swallow_exceptions]


@pytest.fixture
def bystander():
    process = psutil.Popen(["sleep", "600"])
    yield process
    process.kill()
    process.wait()


def living(pids: list[int]) -> list[int]:
    return [pid for pid in pids if lives(pid)]


def lives(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


@pytest.mark.fault("C2")
@pytest.mark.parametrize("function", STUBBORN, ids=lambda function: function.__name__)
def test_a_stubborn_job_is_gone_and_recorded_as_a_timeout(daemons, function):
    daemon = daemons({"pools.default.timeout_grace": 1})
    job_id = daemon.submit(function, "stubborn", timeout=TIMEOUT, max_attempts=1)
    neighbour = daemon.submit(jobs.wait_for_file, "neighbour", {"path": str(daemon.home / "go")})
    (call,) = daemon.wait_for_calls("stubborn")

    job = daemon.wait_for_job(job_id, "timeout")
    recorded = daemon.wait_for_event("exit_recorded")

    assert living([call.pid]) == []
    assert job["attempts"] == 1
    (execution,) = job["executions"]
    assert (execution["cause"], execution["signal"]) == ("timeout", "SIGKILL")
    assert "limit of 1 s" in job["error"]
    # A job that ignores every signal does not even let its stacks be dumped.
    assert (function is jobs.ignore_signals) or function.__name__ in execution["stack"]
    assert recorded["late_ms"] < (AT_MOST - TIMEOUT) * 1000
    assert daemon.job(neighbour)["status"] == "running"
    (daemon.home / "go").touch()
    daemon.wait_for_job(neighbour, "completed")


@pytest.mark.fault("C3", "C4", "C5")
def test_a_job_with_children_of_every_kind_is_gone_with_all_of_them(daemons, bystander):
    daemon = daemons({"pools.default.timeout_grace": GRACE})
    job_id = daemon.submit(jobs.spawn_children, "family", timeout=4, max_attempts=1)
    children = wait_until(lambda: len(pids := jobs.child_pids(daemon.ledger)) == 6 and pids)

    daemon.wait_for_job(job_id, "timeout")

    assert living(children) == []
    assert bystander.poll() is None


def test_the_next_attempt_starts_after_the_children_of_the_last_are_gone(daemons):
    daemon = daemons({"pools.default.size": 1})

    job_id = daemon.submit(jobs.leave_children_and_raise, "messy", max_attempts=2)
    job = daemon.wait_for_job(job_id, "failed")

    assert job["attempts"] == 2
    assert jobs.entries(daemon.ledger, "survivors")[1]["pids"] == []
    assert living(jobs.child_pids(daemon.ledger)) == []
    assert daemon.events("job_orphans_killed")


@pytest.mark.fault("C1")
def test_a_job_that_answers_runs_its_finally_and_its_stack_is_kept(daemons):
    daemon = daemons({"pools.default.timeout_grace": GRACE})

    job_id = daemon.submit(jobs.sleep_py, "polite", timeout=0.5, max_attempts=1)
    job = daemon.wait_for_job(job_id, "timeout")

    (call,) = daemon.calls("polite")
    assert call.end is not None
    (execution,) = job["executions"]
    assert "sleep_py" in execution["stack"]
    assert "JobTimeout" in job["error"]
    assert "interruption.py" not in job["error"]
    daemon.wait_for_event("worker_exited")
    assert daemon.events("worker_exited")[0]["killed"] == 0


@pytest.mark.fault("C1")
def test_a_job_that_overruns_is_tried_again_while_attempts_are_left(daemons):
    daemon = daemons({"pools.default.timeout_grace": 0})

    job_id = daemon.submit(jobs.sleep_c, "again", timeout=0.3, max_attempts=2)
    job = daemon.wait_for_job(job_id, "timeout")

    assert job["attempts"] == 2
    assert [execution["status"] for execution in job["executions"]] == ["timeout"] * 2
    first, second = daemon.calls("again")
    assert first.pid != second.pid
    (killed_first, _) = daemon.events("worker_exited")
    assert killed_first["signal"] == "SIGKILL"


def test_a_job_without_a_limit_obeys_the_limit_of_its_pool(daemons):
    daemon = daemons({"pools.default.timeout_limit": 0.5, "pools.default.timeout_grace": 0})

    job_id = daemon.submit(jobs.sleep_c, "endless", timeout=None, max_attempts=1)

    assert daemon.wait_for_job(job_id)["status"] == "timeout"


def test_a_job_just_within_its_limit_is_left_alone(daemons):
    daemon = daemons({"pools.default.timeout_grace": 0})

    job_id = daemon.submit(jobs.sleep_py, "quick", {"seconds": 0.2}, timeout=30)

    assert daemon.wait_for_job(job_id)["status"] == "completed"
    assert daemon.events("job_interrupted") == []


def test_the_output_of_a_killed_job_is_kept(daemons):
    daemon = daemons({"pools.default.timeout_grace": 0})

    job_id = daemon.submit(jobs.print_and_hang, "chatty", timeout=0.5, max_attempts=1)
    (execution,) = daemon.wait_for_job(job_id, "timeout")["executions"]

    assert execution["output"] == "to stdout\nto stderr\nfrom a child\n"


@pytest.mark.fault("H3")
def test_an_output_of_many_megabytes_is_kept_to_its_tail(daemons):
    daemon = daemons()

    job_id = daemon.submit(jobs.print_much, "flood", {"megabytes": 32})
    (execution,) = daemon.wait_for_job(job_id, "completed", within=30)["executions"]

    assert execution["output"].endswith("the last line\n")
    assert len(execution["output"]) <= 64 * 1024
