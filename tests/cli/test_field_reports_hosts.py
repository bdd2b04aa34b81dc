"""What went wrong where several hosts share a job queue, from public bug reports: the commands."""

from __future__ import annotations

import json

import pytest
from support.faketime import FakeClock, needs_faketime

pytestmark = [needs_faketime, pytest.mark.each_database, pytest.mark.only("postgres")]

DAY = 86400


@pytest.fixture
def clock(tmp_path):
    """The calendar clock of another host, two days ahead of the server's."""
    found = FakeClock(tmp_path)
    found.put(2 * DAY)
    return found


def submitted(shell, *options, **environment):
    given = ("--name", "a", "-p", "file=x", *options, "--json")
    return json.loads(shell.out("submit", "shop.resize", *given, **environment))["id"]


@pytest.mark.fault("O11")
@pytest.mark.parametrize("command", ["clear", "prune"])
def test_a_host_whose_clock_is_ahead_deletes_no_job_too_early(shell, clock, command):
    """johanhaleby/occurrent#662: a node judged by its own clock what others had written."""
    job_id = submitted(shell)
    shell.out("worker", "--once")

    shell.out(command, "--before", "1d", **clock.environment)

    assert shell.json("status", job_id)["status"] == "completed"


@pytest.mark.fault("O11")
def test_a_host_whose_clock_is_ahead_starts_no_job_early_and_lets_none_expire(shell, clock):
    """kagkarlsson/db-scheduler#364, vsivsi/meteor-job-collection#260: it was due there."""
    waits = submitted(shell, "--in", "1d")
    expires = submitted(shell, "--expires-in", "1d")
    shell.out("worker", "--once", **clock.environment)
    seen = json.loads(shell.out("status", waits, "--json", **clock.environment))

    assert seen["status"] == "pending"
    assert seen["why_waiting"].startswith("not due until ")
    assert shell.json("status", expires)["status"] == "completed"


@pytest.mark.fault("O11")
@pytest.mark.parametrize("days", [-2, 2])
def test_what_a_host_whose_clock_is_wrong_submits_expires_and_is_due_as_from_others(
    shell, clock, days
):
    """The same: delays count by the server's clock."""
    clock.put(days * DAY)
    waits = submitted(shell, "--in", "1d", **clock.environment)
    expires = submitted(shell, "--expires-in", "1d", **clock.environment)
    shell.out("worker", "--once")

    assert shell.json("status", waits)["why_waiting"].startswith("not due until ")
    assert shell.json("status", expires)["status"] == "completed"
