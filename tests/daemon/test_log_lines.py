"""How much the log holds: some lines for successful jobs each second, and files of bounded size."""

from __future__ import annotations

import json
from collections import Counter
from typing import TYPE_CHECKING, Any

import pytest
from support import jobs
from support.waiting import wait_until

from gigq import Job
from gigqd import exit_codes

if TYPE_CHECKING:
    from support.daemon import Daemon

pytestmark = pytest.mark.daemon

MANY = 300
WITHIN = 60.0


def submit(daemon: Daemon, count: int, how: str = "", first: int = 0) -> list[str]:
    batch = [
        Job(
            f"j{number}",
            jobs.tiny,
            params={"ledger": str(daemon.ledger), "job": f"j{number}", "how": how},
            max_attempts=1,
        )
        for number in range(first, first + count)
    ]
    daemon.submitted.update({job.id: job.name for job in batch})
    return daemon.queue.submit_many(batch)


def reported(lines: list[dict[str, Any]]) -> int:
    """How many successes the log has a line for or has summed up."""
    own = sum(line["event"] == "job.completed" for line in lines)
    return own + sum(line["count"] for line in lines if line["event"] == "jobs.completed")


def unfinished(daemon: Daemon) -> int:
    counts = daemon.queue.stats()
    return counts["pending"] + counts["running"]


def test_each_success_is_a_line_or_counted_and_lines_are_few(daemons):
    daemon = daemons({"pools.default.size": 2})

    submit(daemon, MANY)
    wait_until(lambda: reported(daemon.log()) == MANY, WITHIN)

    lines = daemon.log()
    sums = Counter(line["worker"] for line in lines if line["event"] == "jobs.completed")
    own = Counter(line["worker"] for line in lines if line["event"] == "job.completed")
    assert [line for line in lines if line["event"] == "job.started"] == []
    # The supervisor writes a sum when a second is over in which a worker has counted some.
    assert all(own[worker] <= 5 * (sums[worker] + 2) for worker in own)
    assert sum(own.values()) < MANY


def test_each_failure_has_a_line(daemons):
    daemon = daemons()

    ids = submit(daemon, 30, how="raise")
    wait_until(lambda: len(daemon.events("job.failed")) == len(ids), WITHIN)

    assert sorted(line["job_id"] for line in daemon.events("job.failed")) == sorted(ids)


def test_with_zero_each_success_has_a_line(daemons):
    daemon = daemons({"log.jobs_per_second": 0})

    ids = submit(daemon, MANY)
    wait_until(lambda: len(daemon.events("job.completed")) == MANY, WITHIN)

    assert sorted(line["job_id"] for line in daemon.events("job.completed")) == sorted(ids)
    assert daemon.events("jobs.completed") == []


def test_a_sum_is_not_lost_when_its_worker_is_replaced(daemons):
    daemon = daemons({"pools.default.size": 1})

    submit(daemon, 50)
    wait_until(lambda: daemon.queue.stats()["completed"] == 50, WITHIN)
    daemon.command("reload", "--wait")
    daemon.stop()

    assert reported(daemon.log()) == 50


@pytest.mark.parametrize("how", [jobs.ignore_signals, jobs.kill_worker])
def test_no_success_is_missing_in_the_log_after_workers_were_killed(daemons, how):
    daemon = daemons({"pools.default.size": 1, "pools.default.timeout_grace": "100ms"})

    for first in (0, 60, 120):
        submit(daemon, 60, first=first)
        daemon.submit(how, f"bad{first}", timeout=1, max_attempts=1)
    wait_until(lambda: not unfinished(daemon), WITHIN)
    completed = daemon.queue.stats()["completed"]
    daemon.stop()

    assert completed == 180
    assert reported(daemon.log()) == completed


def test_a_sum_does_not_wait_for_the_end_of_the_job_that_follows(daemons):
    daemon = daemons({"pools.default.size": 1})
    submit(daemon, 60)
    write_queue = daemon.home / "go"

    daemon.submit(jobs.wait_for_file, "long", {"path": str(write_queue)})
    daemon.wait_for_calls("long", within=WITHIN)
    wait_until(lambda: daemon.events("jobs.completed"), WITHIN)

    assert not write_queue.exists()
    write_queue.touch()


def test_a_log_that_is_rotated_under_load_has_every_line_once_and_whole(daemons):
    daemon = daemons(start=False)
    file = daemon.home / "jobs.log"
    settings = {"log.file": str(file), "log.max_size": "64KiB", "log.keep": 50}
    daemon.configure({**settings, "log.jobs_per_second": 0, "log.format": "json"})
    daemon.start()

    ids = []
    while len(list(daemon.home.glob("jobs.log.*"))) < 3:
        ids += submit(daemon, MANY)
        wait_until(lambda: not unfinished(daemon), WITHIN)
    daemon.stop()
    texts = [path.read_text() for path in daemon.home.glob("jobs.log*")]
    lines = [json.loads(line) for text in texts for line in text.splitlines()]

    found = Counter(line["job_id"] for line in lines if line["event"] == "job.completed")
    assert found == Counter(ids)
    assert sum(line["event"] == "log_rotated" for line in lines) == len(texts) - 1
    assert all(text.endswith("\n") for text in texts)


@pytest.mark.parametrize("words", [("check",), ("start",), ("run",)])
def test_a_log_on_standard_error_cannot_be_rotated(daemons, words):
    daemon = daemons({"log.max_size": "1MiB"}, start=False)

    done = daemon.command(*words)

    assert done.returncode == exit_codes.BAD_CONFIG
    assert "log.max_size: the log is standard error" in done.stderr
