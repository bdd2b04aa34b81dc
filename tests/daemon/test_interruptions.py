"""A job is interrupted wherever it waits: once, for any cause, and it may clean up."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest
from support import fork_server, jobs_that_wait, jobs_to_interrupt
from support.calls import calls, entries
from support.jobs_that_wait import EIGHT, STARTS_A_SERVER, WAITS
from support.waiting import wait_until

from gigq import Job
from gigq.model.units import format_duration

if TYPE_CHECKING:
    from support.daemon import Daemon

    Table = dict[tuple[str, str], "Interrupted"]

pytestmark = pytest.mark.daemon

# Long, so that on a busy machine a job waits before its time is over, and cleans up in its grace.
LIMIT = 4.0
GRACE = 60.0
STOP = 60.0

RAISED = {"timeout": "JobTimeout", "cancelled": "JobCancelled", "stopped": "JobStopped"}
CASES = [
    *((how, cause) for cause in RAISED for how in EIGHT),
    *((how, "timeout") for how in WAITS if how not in EIGHT),
]
RETURNED = [
    *(("return_when_interrupted", cause) for cause in RAISED),
    ("return_when_wanted", "stopped"),
]
RAISED_LATER = ("raise_later", "timeout")


@dataclass(frozen=True)
class Interrupted:
    """One job that was interrupted: its record, and what its function noted."""

    job: dict[str, Any]
    execution: dict[str, Any]
    raised: list[str]
    cleaned: int


def _interrupt_all(daemons: Any, cases: list[tuple[str, str]]) -> tuple[Daemon, Table]:
    """Play the cases in one daemon and at one time: the stop comes last, and ends it."""
    settings = {
        "daemon.stop_timeout": STOP,
        "pools.default.size": len(cases),
        "pools.default.timeout_grace": GRACE,
    }
    daemon = daemons(settings)
    ids = {case: _submit(daemon, *case) for case in cases}
    wait_until(lambda: len(calls(daemon.ledger)) == len(ids), 60, why="every job has begun")
    for (_, cause), job_id in ids.items():
        if cause == "cancelled":
            daemon.queue.cancel(job_id, running=True)
    for (_, cause), job_id in ids.items():
        if cause != "stopped":
            daemon.wait_for_job(job_id, within=60)
    daemon.stop(within=STOP + 30)
    return daemon, {case: _what_became(daemon, case, job_id) for case, job_id in ids.items()}


def _submit(daemon: Daemon, how: str, cause: str) -> str:
    limit = LIMIT if cause == "timeout" else None
    attempts = 1 if cause == "timeout" else 3
    options: Any = {"timeout": limit, "max_attempts": attempts}
    if how in WAITS:
        return daemon.submit(jobs_that_wait.wait, f"{how} {cause}", {"how": how}, **options)
    return daemon.submit(getattr(jobs_that_wait, how), f"{how} {cause}", **options)


def _what_became(daemon: Daemon, case: tuple[str, str], job_id: str) -> Interrupted:
    key = " ".join(case)
    lines = [line for line in entries(daemon.ledger) if line["job"] == key]
    raised = [line["error"] for line in lines if line["what"] == "raised"]
    cleaned = sum(line["what"] == "cleaned" for line in lines)
    job = daemon.job(job_id)
    return Interrupted(job, job["executions"][0], raised, cleaned)


def _outcome(job: Interrupted) -> tuple[Any, ...]:
    execution = job.execution
    causes = (execution["cause"], execution["interrupted_by"])
    return job.raised, job.cleaned, causes, (execution["signal"], execution["killed"])


@pytest.mark.long
@pytest.mark.fault("C1")
def test_it_is_raised_once_and_the_job_cleans_up_and_nothing_is_killed(daemons):
    daemon, table = _interrupt_all(daemons, CASES)

    assert {case: _outcome(job) for case, job in table.items()} == {
        (how, cause): ([RAISED[cause]], 1, (cause, cause), (None, None)) for how, cause in CASES
    }
    # A replacement that still boots when the daemon stops is killed: only workers of jobs count.
    begun = calls(daemon.ledger)
    worked = {call.pid for call in begun}
    exits = [line for line in daemon.events("worker_exited") if line["pid"] in worked]
    assert [line for line in exits if line["signal"]] == []
    # multiprocessing's own servers end by themselves soon after their worker: they may be killed.
    with_servers = {call.pid for call in begun if call.job.startswith(STARTS_A_SERVER)}
    assert len(with_servers) == len(STARTS_A_SERVER)
    killing = {line["pid"] for line in exits if line["killed"]} - with_servers
    assert [call.job for call in begun if call.pid in killing] == []


@pytest.mark.long
def test_a_job_that_returns_all_the_same_is_completed_and_its_execution_says_so(daemons):
    daemon, table = _interrupt_all(daemons, RETURNED)
    events = {line["job_id"]: line for line in daemon.events("job.returned_after_interruption")}

    assert len(events) == len(RETURNED)
    for (how, cause), job in table.items():
        event = events[job.job["id"]]
        assert job.job["status"] == job.execution["status"] == "completed"
        assert job.job["result"] == (RAISED[cause] if how == "return_when_interrupted" else "saved")
        assert job.execution["interrupted_by"] == event["interrupted_by"] == cause
        assert job.execution["returned_after"] == event["returned_after"] >= jobs_that_wait.CLEANUP
        assert event["level"] == "warning"
        after = format_duration(job.execution["returned_after"])
        assert f"{cause}; the function ended {after} later" in _status(daemon, job.job["id"])


def _status(daemon: Daemon, job_id: str) -> str:
    """Return what `gigq status` prints about a job."""
    words = ["status", job_id, "--db", str(daemon.database)]
    return fork_server.run("gigq", words, folder=daemon.home, environment=daemon.environment).stdout


def test_a_job_that_fails_later_for_another_reason_is_known_to_have_been_interrupted(daemons):
    _, table = _interrupt_all(daemons, [RAISED_LATER])
    job = table[RAISED_LATER]

    assert (job.job["status"], job.execution["cause"]) == ("failed", "error")
    assert job.execution["interrupted_by"] == "timeout"


def test_a_forked_child_of_a_job_leaves_as_python_does(daemons):
    daemon = daemons()
    ids = [
        daemon.queue.submit(Job(how, jobs_to_interrupt.fork_and_wait, {"how": how}))
        for how in ("raise", "3")
    ]
    raised, left = (daemon.wait_for_job(job_id, "completed") for job_id in ids)

    assert (raised["result"], left["result"]) == (1, 3)
    output = raised["executions"][0]["output"]
    assert "Traceback (most recent call last):\n" in output
    assert output.endswith("ValueError: the child's own\n")
