"""Functions that compute the delay of a retry and never return, in a worker of the daemon."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from typing import TYPE_CHECKING, Any

import pytest
from support import jobs, retry_functions, spoilers

if TYPE_CHECKING:
    from collections.abc import Callable

    from support.daemon import Daemon

pytestmark = pytest.mark.daemon


def the_end(daemon: Daemon, function: Any, retry: Callable[..., float]) -> dict[str, Any]:
    """Run a job once, with a limit and a retry function; its execution."""
    name = function.__name__
    job_id = daemon.submit(function, name, timeout=0.5, retry=retry, max_attempts=1)
    (execution,) = daemon.wait_for_job(job_id, within=30)["executions"]
    return dict(execution)


@pytest.mark.parametrize(
    ("function", "error"),
    [(jobs.boom, "RuntimeError: boom"), (jobs.sleep_py, "gigq.errors.JobTimeout:")],
)
def test_a_job_keeps_its_own_error_when_its_retry_function_hangs(
    daemons: Callable[..., Daemon], function: Any, error: str
) -> None:
    daemon = daemons({"pools.default.timeout_grace": "10s"})
    execution = the_end(daemon, function, retry_functions.hang)

    assert execution["interrupted_by"] == "timeout"
    assert (execution["signal"], execution["killed"]) == (None, None)
    assert execution["error"].startswith(error)
    assert "The retry function support.retry_functions:hang failed" in execution["error"]


def test_the_error_is_kept_although_the_function_must_be_killed(
    daemons: Callable[..., Daemon],
) -> None:
    daemon = daemons({"pools.default.timeout_grace": "200ms"})
    execution = the_end(daemon, jobs.boom, retry_functions.swallow)

    assert (execution["cause"], execution["signal"]) == ("timeout", "SIGKILL")
    said = "it was killed; its retry function support.retry_functions:swallow did not return"
    assert said in execution["error"]
    assert "RuntimeError: boom" in execution["error"]


def test_what_a_failed_job_leaves_is_undone_although_its_retry_function_is_found_afterwards(
    daemons: Callable[..., Daemon],
) -> None:
    daemon = daemons({"pools.default.size": 1, "code.imports": ["support.spoilers"]})
    before = daemon.wait_for_job(daemon.submit(spoilers.look, "before"))["result"]
    rules = {"retry": retry_functions.at_once, "max_attempts": 2}
    spoiler = daemon.submit(spoilers.spoil_and_fail, "spoiler", {"what": "directory"}, **rules)
    daemon.wait_for_job(spoiler)
    after = daemon.wait_for_job(daemon.submit(spoilers.look, "after"))["result"]

    assert after == before
    assert daemon.events("job_left_residue") == []
    assert len({call.pid for call in daemon.calls()}) == 1


def test_a_retry_function_is_found_after_a_job_whose_own_function_is_missing(
    daemons: Callable[..., Daemon],
) -> None:
    daemon = daemons({"pools.default.size": 1, "queue.unknown_function_wait": "0s"})
    rules = {"retry": retry_functions.at_once, "max_attempts": 2, "delay": 60}
    job_id = daemon.submit(jobs.ok, "renamed", **rules)
    daemon.breaks("P4", "the function is not found, so it is never called")
    change = "UPDATE jobs SET function_name = 'no_such', retry_after = NULL WHERE id = ?"
    with closing(sqlite3.connect(daemon.database)) as connection, connection:
        connection.execute(change, (job_id,))

    assert "has no function 'no_such'" in daemon.wait_for_job(job_id)["error"]
    daemon.wait_for_job(daemon.submit(jobs.ok, "after"))
    assert daemon.events("job_left_residue") == []
