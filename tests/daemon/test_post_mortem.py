"""Every failure can be read afterwards: why, where it hung, what it had written, what it used."""

from __future__ import annotations

import pytest
from support import failing, jobs
from support.waiting import wait_until

pytestmark = pytest.mark.daemon

MB = 1000 * 1000


def test_a_job_that_hangs_leaves_its_stack_its_output_and_its_figures(daemons):
    daemon = daemons({"pools.default.timeout_grace": "100ms"})

    job_id = daemon.submit(failing.hang_in_three_calls, "hung", timeout=0.3, max_attempts=1)
    job = daemon.wait_for_job(job_id)
    (execution,) = job["executions"]

    assert job["status"] == "timeout"
    assert execution["cause"] == "timeout"
    assert execution["signal"] == "SIGKILL"
    for function in ("hang_in_three_calls", "_second_call", "_third_call"):
        assert f"in {function}" in execution["stack"]
    assert 'failing.py", line' in execution["stack"]
    assert execution["output"] == "before the first call\nbefore the hang\n"
    assert execution["wall_time"] >= 0.4
    assert 0 <= execution["cpu_time"] < execution["wall_time"]
    assert execution["peak_rss"] > MB
    assert execution["late"] >= 0
    assert execution["killed"] == 1


def test_a_supervisor_that_replaces_a_worker_at_once_has_not_overslept(daemons):
    daemon = daemons()

    daemon.wait_for_job(daemon.submit(jobs.segv, "deadly", max_attempts=1))
    daemon.wait_for_job(daemon.submit(jobs.ok, "after"))

    assert daemon.events("supervisor_stalled") == []


def test_a_running_job_is_cancelled_after_it_could_clean_up(daemons):
    daemon = daemons()
    job_id = daemon.submit(failing.clean_up_when_interrupted, "long", max_attempts=3)
    daemon.wait_for_calls("long")

    asked = daemon.queue.cancel(job_id, running=True)
    job = daemon.wait_for_job(job_id)

    assert asked
    assert job["status"] == "cancelled"
    assert [e["cause"] for e in job["executions"]] == ["cancelled"]
    assert job["executions"][0]["output"].endswith("cleaned up after JobCancelled\n")
    assert "in clean_up_when_interrupted" in job["executions"][0]["stack"]


def test_a_cancelled_job_that_does_not_listen_is_killed_with_its_tree(daemons):
    daemon = daemons({"pools.default.timeout_grace": "100ms", "pools.default.size": 1})
    job_id = daemon.submit(failing.hang_in_three_calls, "deaf", max_attempts=3)
    daemon.wait_for_calls("deaf")
    dependent = daemon.submit(jobs.ok, "dependent", dependencies=[job_id])

    daemon.queue.cancel(job_id, running=True)
    job = daemon.wait_for_job(job_id)

    assert job["status"] == "cancelled"
    assert job["executions"][0]["signal"] == "SIGKILL"
    assert daemon.wait_for_job(dependent)["cause"] == "parent"
    assert daemon.wait_for_job(daemon.submit(jobs.ok, "after"))["status"] == "completed"


def test_a_job_over_its_memory_limit_ends_with_its_peak(daemons):
    daemon = daemons()

    job_id = daemon.submit(
        failing.eat_memory, "eater", {"rate": 100 * MB}, memory_limit="300 MB", max_attempts=1
    )
    job = daemon.wait_for_job(job_id)
    (execution,) = job["executions"]

    assert job["status"] == "failed"
    assert execution["cause"] == "memory"
    assert execution["peak_rss"] > 300 * MB
    # At 100 MB a second: two seconds past the limit at the latest.
    assert execution["peak_rss"] < 500 * MB
    assert "300" in job["error"]
    assert "in eat_memory" in execution["stack"]


def test_the_children_of_a_job_count_towards_its_memory_limit(daemons):
    daemon = daemons({"pools.default.memory_limit": "200MB"})

    job_id = daemon.submit(
        failing.eat_memory_in_a_child, "parent", {"rate": 200 * MB}, max_attempts=1
    )
    job = daemon.wait_for_job(job_id)

    assert job["executions"][0]["cause"] == "memory"
    assert job["executions"][0]["killed"] == 2


def test_a_paused_daemon_claims_nothing_and_goes_on_when_it_is_resumed(daemons):
    daemon = daemons()

    daemon.client.ask("pause")
    ids = [daemon.submit(jobs.ok, f"job-{number}") for number in range(10)]
    daemon.client.ask("reload")
    state = daemon.status()["state"]
    started = len(daemon.calls())
    daemon.client.ask("resume")

    assert state == "paused"
    assert started == 0
    assert {daemon.wait_for_job(job_id)["status"] for job_id in ids} == {"completed"}


def test_a_time_limit_holds_while_the_daemon_is_paused(daemons):
    daemon = daemons({"pools.default.timeout_grace": "0s"})
    job_id = daemon.submit(jobs.sleep_py, "slow", {"seconds": 60}, timeout=0.5, max_attempts=1)
    daemon.wait_for_calls("slow")

    daemon.client.ask("pause")

    assert daemon.wait_for_job(job_id)["status"] == "timeout"


def test_a_stop_asks_jobs_to_end_before_it_kills_them(daemons):
    daemon = daemons({"daemon.stop_timeout": "1s", "pools.default.timeout_grace": "800ms"})
    job_id = daemon.submit(failing.clean_up_when_interrupted, "long", max_attempts=3)
    daemon.wait_for_calls("long")

    daemon.stop()
    job = daemon.job(job_id)

    assert str(job["status"]) in ("pending", "JobStatus.PENDING")
    assert job["attempts"] == 0
    assert job["executions"][0]["cause"] == "stopped"
    assert job["executions"][0]["output"].endswith("cleaned up after JobStopped\n")


def test_the_status_remembers_bad_ends_and_what_became_of_the_job(daemons):
    daemon = daemons()

    job_id = daemon.submit(jobs.segv, "deadly", max_attempts=1)
    daemon.wait_for_job(job_id)
    (entry,) = wait_until(lambda: [e for e in daemon.status()["recent_failures"] if e["status"]])

    assert entry["job_id"] == job_id
    assert (entry["cause"], entry["signal"], entry["status"]) == ("crashed", "SIGSEGV", "failed")
    assert daemon.status()["counters"]["crashes"] == 1


def test_the_status_counts_and_shows_a_timeout_that_the_worker_has_settled_itself(daemons):
    daemon = daemons({"pools.default.size": 1})

    job_id = daemon.submit(jobs.sleep_py, "slow", {"seconds": 60}, timeout=0.3, max_attempts=1)
    daemon.wait_for_job(job_id)
    (entry,) = wait_until(lambda: daemon.status()["recent_failures"])
    text = daemon.command("status").stdout

    assert (entry["job_id"], entry["cause"], entry["status"]) == (job_id, "timeout", "timeout")
    assert (entry["attempt"], entry["killed"], entry["signal"]) == (1, 0, None)
    assert entry["wall_time"] >= 0.3
    assert daemon.status()["counters"]["timeouts"] == 1
    assert "recent failures" in text
    assert "interrupted" in text


@pytest.mark.fault("C19")
def test_a_cancel_at_any_moment_ends_a_job_once_and_a_refused_one_changes_nothing(daemons):
    daemon = daemons({"pools.default.size": 2})
    ids = {
        f"job-{number}": daemon.submit(
            jobs.sleep_py, f"job-{number}", {"seconds": 0.02}, max_attempts=3
        )
        for number in range(120)
    }
    asked = {}
    for key, job_id in list(ids.items())[::2]:
        daemon.wait_for_job(job_id, "running", "completed")
        asked[key] = daemon.queue.cancel(job_id, running=True)
    ends = {key: daemon.wait_for_job(job_id) for key, job_id in ids.items()}

    for key, job in ends.items():
        assert job["status"] in (("completed", "cancelled") if asked.get(key) else ("completed",))
        assert len(job["executions"]) == 1
        assert len(daemon.calls(key)) <= 1


@pytest.mark.fault("C19")
def test_a_pending_job_that_was_cancelled_never_starts(daemons):
    daemon = daemons({"pools.default.size": 1})
    ids = [daemon.submit(jobs.ok, f"job-{number}") for number in range(200)]

    cancelled = [job_id for job_id in reversed(ids) if daemon.queue.cancel(job_id)]
    ends = {job_id: daemon.wait_for_job(job_id)["status"] for job_id in ids}

    assert [job_id for job_id in reversed(ids) if ends[job_id] == "cancelled"] == cancelled
    called = {call.job for call in daemon.calls()}
    names = {job_id: f"job-{number}" for number, job_id in enumerate(ids)}
    assert not called & {names[job_id] for job_id in cancelled}


@pytest.mark.fault("C16")
@pytest.mark.parametrize("timeout", [0.5, 1e12, None], ids=str)
def test_any_limit_that_a_job_may_have_works(daemons, timeout):
    daemon = daemons()

    job = daemon.wait_for_job(daemon.submit(jobs.ok, "job", timeout=timeout))

    assert job["status"] == "completed"
