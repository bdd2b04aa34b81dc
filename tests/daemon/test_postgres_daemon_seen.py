"""`gigq doctor` and `gigq status` find the daemon of this host by the address of its database."""

from __future__ import annotations

import json
import socket
from typing import TYPE_CHECKING

import pytest
from support import jobs
from support.waiting import wait_until

from gigq.cli.attempts import ABANDONED_WITH_LEASE

if TYPE_CHECKING:
    from collections.abc import Callable

    from support.daemon import Daemon

pytestmark = [
    pytest.mark.daemon,
    pytest.mark.parametrize("daemons", ["postgres"], indirect=True),
]


def said(daemon: Daemon, *command: str) -> str:
    """The answer of a command that knows only the address."""
    return daemon.gigq(*command).stdout


def finding(daemon: Daemon, check: str) -> str:
    """What the doctor finds in one check; empty without a finding."""
    findings = json.loads(said(daemon, "doctor", "--json"))["findings"]
    return str(next((one["found"] for one in findings if one["check"] == check), ""))


def test_the_doctor_names_the_daemon(daemons: Callable[..., Daemon]) -> None:
    daemon = daemons()

    assert finding(daemon, "workers") == f"jobs are run by gigqd {daemon.pid}"
    daemon.stop()
    assert f"gigqd {daemon.pid}" not in finding(daemon, "workers")


def test_the_status_of_a_job_names_the_pools_of_the_daemon(daemons: Callable[..., Daemon]) -> None:
    daemon = daemons({"pools.default.queues": ["mail"]})
    job_id = daemon.submit(jobs.ok, "a", queue="etl")
    no_pool = "its queue 'etl' is served by no pool of this host and account (default: mail)"
    wait_until(lambda: no_pool in said(daemon, "status", job_id), 30)
    daemon.configure({"pools.default.queues": ["mail", "etl"]})
    daemon.command("pause")
    daemon.command("reload", "--wait")

    wait_until(lambda: "daemon 'default' is paused" in said(daemon, "status", job_id), 30)


def test_an_attempt_that_has_ended_shows_its_host(daemons: Callable[..., Daemon]) -> None:
    daemon = daemons({"pools.default.size": 1})

    (execution,) = daemon.wait_for_job(daemon.submit(jobs.ok, "a"), "completed")["executions"]

    assert execution["worker_id"].startswith("default/0.")
    assert execution["worker_id"].endswith(f"@{socket.gethostname()}:{daemon.pid}")


def test_a_job_of_a_daemon_that_was_killed_is_called_abandoned(
    daemons: Callable[..., Daemon],
) -> None:
    daemon = daemons()
    job_id = daemon.submit(jobs.wait_for_file, "a", {"path": "/missing"})
    daemon.wait_for_job(job_id, "running")
    shown = said(daemon, "status", job_id)
    assert ABANDONED_WITH_LEASE not in shown
    (worker,) = (line for line in shown.splitlines() if line.startswith("Worker: "))
    assert worker.endswith(f"@{socket.gethostname()}:{daemon.pid}")
    assert json.loads(said(daemon, "status", job_id, "--json"))["host"] == socket.gethostname()
    daemon.kill()

    wait_until(lambda: ABANDONED_WITH_LEASE in said(daemon, "status", job_id), 30)
    assert finding(daemon, "lost") == "1 running jobs have no process any more"
    (process,) = json.loads(f"[{said(daemon, 'workers', '--json')}]")
    assert process["state"].startswith("gone, lease ends in ")
