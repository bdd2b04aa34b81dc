"""The lease of a daemon on PostgreSQL: its jobs end before other hosts run them again."""

from __future__ import annotations

from contextlib import closing, suppress

import psutil
import psycopg
import pytest
from support import jobs, postgres_relay
from support.raw_sql import Program
from support.waiting import wait_until

from gigq import JobQueue
from gigq.model import clock
from gigq.model.cause import Cause
from gigq.model.execution_result import ExecutionResult
from gigq.model.job_status import JobStatus
from gigq.store.verbs import settle_and_claim

pytestmark = [
    pytest.mark.daemon,
    pytest.mark.parametrize("daemons", ["postgres"], indirect=True),
]

LEASE = 6


@pytest.fixture
def relay(daemons):
    """A daemon that reaches its server through a relay, and the relay."""
    daemon = daemons({"pools.default.size": 1}, start=False, lease=LEASE)
    direct = daemon.address
    with postgres_relay.relaying_to(direct) as relay:
        daemon.configure({"queue.database": postgres_relay.through(relay, direct)})
        daemon.start()
        daemon.configure({"queue.database": direct})  # for this process, which looks from outside
        yield daemon, relay
        daemon.finish()


def lives(pid):
    """Return False for a process that is gone or a zombie."""
    with suppress(psutil.NoSuchProcess):
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    return False


def recorder(daemon):
    slots = daemon.status()["slots"]
    return psutil.Process(next(slot["pid"] for slot in slots if slot["role"] == "recorder"))


def beats(daemon):
    """When the job that beats was seen alive, in seconds of the calendar clock."""
    return [float(line) for line in (daemon.home / "beats").read_text().split()]


def lease_ends_at(daemon):
    """When the lease of the daemon ends, in seconds of the calendar clock."""
    with closing(Program(daemon.address)) as program:
        (row,) = program.rows("SELECT lease_ends_at FROM gigq_processes")
    return clock.parse(row["lease_ends_at"]).timestamp()


def rescued(daemon):
    """Record what runs as lost, as a daemon of another host does; False while the lease goes on."""
    result = ExecutionResult(JobStatus.FAILED, cause=Cause.LOST)
    with JobQueue(daemon.address) as queue:
        (row,) = settle_and_claim.open_executions(queue._database)
        settled = settle_and_claim.settle(
            queue._database, row["execution_id"], result, unless_leased=row["run"]
        )
    return settled is not None


def beat(daemon):
    return daemon.submit(jobs.beat, "beats", {"path": str(daemon.home / "beats")}, max_attempts=2)


def job_ended(daemon):
    """Return True when no process of the running job is left."""
    slots = daemon.status()["slots"]
    return not any(slot.get("job") == "beats" for slot in slots)


def test_jobs_are_ended_before_the_lease_of_a_daemon_without_its_server(relay):
    daemon, relay = relay
    job_id = beat(daemon)
    daemon.wait_for_calls("beats")

    relay.is_silent = True
    wait_until(lambda: job_ended(daemon), why="the job is ended", deadline=60)
    last = beats(daemon)[-1]

    assert last < lease_ends_at(daemon)
    assert "lease could not be renewed" in daemon.status()["reason"]
    (daemon.home / "beats.end").touch()
    relay.is_silent = False
    relay.cut()
    job = daemon.wait_for_job(job_id, within=60)
    assert [one["cause"] for one in job["executions"]] == ["lost", None]
    daemon.wait_for_event("lease_renewed")


def test_what_a_job_has_left_is_ended_with_a_lease_under_which_its_outcome_is_not_recorded(relay):
    daemon, relay = relay
    go = daemon.home / "go"
    job = daemon.submit(jobs.leave_children, "family", {"path": str(go)}, max_attempts=1)
    children = wait_until(lambda: len(pids := jobs.child_pids(daemon.ledger)) == 2 and pids)

    relay.is_silent = True
    go.touch()
    wait_until(lambda: not any(map(lives, children)), why="they are ended", deadline=60)

    relay.is_silent = False
    relay.cut()
    assert daemon.wait_for_job(job, within=60)["executions"][-1]["cause"] == "lost"


def test_jobs_are_ended_before_the_lease_when_the_recorder_hangs(daemons):
    daemon = daemons({"pools.default.size": 1}, lease=LEASE)
    job_id = beat(daemon)
    daemon.wait_for_calls("beats")
    hung = recorder(daemon)

    hung.suspend()
    wait_until(lambda: job_ended(daemon), why="the job is ended", deadline=60)

    assert beats(daemon)[-1] < lease_ends_at(daemon)
    (daemon.home / "beats.end").touch()
    hung.resume()
    job = daemon.wait_for_job(job_id, within=60)
    assert [one["cause"] for one in job["executions"]] == ["lost", None]


@pytest.mark.parametrize("is_replaced", [False, True], ids=["recorder", "next recorder"])
def test_a_lock_on_the_jobs_ends_no_lease(relay, is_replaced):
    daemon, _ = relay
    job_id = beat(daemon)
    daemon.wait_for_calls("beats")

    with psycopg.connect(daemon.address) as holder:
        holder.execute("LOCK TABLE jobs")
        if is_replaced:
            recorder(daemon).kill()
        until = lease_ends_at(daemon) + 2 * LEASE
        wait_until(lambda: lease_ends_at(daemon) > until, why="the lease is renewed", deadline=60)
        assert not job_ended(daemon)
    (daemon.home / "beats.end").touch()
    assert daemon.wait_for_job(job_id, within=60)["attempts"] == 1


@pytest.mark.fault("E13")
@pytest.mark.parametrize("renews", [False, True], ids=["supervisor first", "recorder first"])
def test_a_host_that_was_stopped_ends_its_job_and_writes_nothing(daemons, renews):
    daemon = daemons({"pools.default.size": 1}, lease=LEASE)
    job_id = beat(daemon)
    daemon.wait_for_calls("beats")
    (call,) = daemon.calls("beats")
    first = recorder(daemon)
    host = [psutil.Process(daemon.pid), *psutil.Process(daemon.pid).children(recursive=True)]

    for process in host:
        process.suspend()
    wait_until(lambda: rescued(daemon), why="the lease ends", deadline=60)
    ended_at = lease_ends_at(daemon)
    if renews:
        first.resume()
        wait_until(lambda: lease_ends_at(daemon) > ended_at, why="the recorder renews the lease")
    for process in host:
        process.resume()

    wait_until(lambda: not psutil.pid_exists(call.pid), why="the old attempt is ended")
    (daemon.home / "beats.end").touch()
    job = daemon.wait_for_job(job_id, within=60)
    assert [one["cause"] for one in job["executions"]] == ["lost", None]
