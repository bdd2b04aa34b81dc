"""The lines of `gigq worker`, made from events."""

from __future__ import annotations

import io
import logging
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gigq.cli.worker_log import WorkerLog, entry

JOB = {"job": "the job", "job_id": "j1", "attempt": 1, "max_attempts": 3, "queue": "default"}


@pytest.mark.parametrize(
    ("name", "fields", "line"),
    [
        ("job.started", JOB, "job.started the job (j1), attempt 1 of 3"),
        (
            "job.completed",
            {**JOB, "duration": 0.5, "retry_after": None},
            "job.completed the job (j1), attempt 1 of 3, 500ms",
        ),
        (
            "job.rescued",
            {"job": "the job", "job_id": "j1", "reason": "the process of worker w ended"},
            "job.rescued the job (j1): the process of worker w ended",
        ),
        (
            "hook.failed",
            {**JOB, "hook": "shop.after_job", "error_type": "OSError", "error_message": "gone"},
            "hook.failed the job (j1), attempt 1 of 3, shop.after_job: OSError: gone",
        ),
        (
            "job.failed",
            {
                **JOB,
                "error_type": "OSError",
                "error_message": "",
                "reason": "no use",
            },
            "job.failed the job (j1), attempt 1 of 3: OSError; not tried again: no use",
        ),
        (
            "job.retrying",
            {**JOB, "error_type": "OSError", "error_message": "gone", "reason": "why"},
            "job.retrying the job (j1), attempt 1 of 3: OSError: gone; next attempt at once; why",
        ),
        ("worker.started", {"worker": "w", "pool": None}, "worker.started worker='w'"),
        ("jobs.completed", {"count": 7}, "jobs.completed count=7"),
        ("job.requeued", {"job_id": "j1"}, "job.requeued job_id='j1'"),
    ],
)
def test_an_event_is_one_line(name, fields, line):
    assert entry(name, fields) == line


def test_a_name_that_foreign_sql_made_very_long_is_cut():
    assert len(entry("job.started", {**JOB, "job": "x" * 10**6})) < 400


@given(
    st.dictionaries(st.sampled_from(["job", "job_id", "error_type", "error_message"]), st.text())
)
def test_whatever_a_field_holds_the_line_is_one_and_printable(fields):
    assert entry("job.failed", {**JOB, **fields}).isprintable()


@given(st.text())
def test_whatever_a_traceback_holds_each_of_its_lines_is_indented_and_printable(trace):
    _, *below = entry("job.failed", {**JOB, "error_traceback": trace}).split("\n")

    assert all(line.startswith("    ") and line.isprintable() for line in below)


def test_events_below_the_level_are_not_taken():
    log = WorkerLog(io.StringIO(), logging.WARNING)

    assert log.takes(logging.WARNING)
    assert not log.takes(logging.INFO)


def test_a_stream_that_takes_nothing_stops_nobody():
    stream = io.StringIO()
    stream.close()
    WorkerLog(stream, logging.INFO).write("job.started", logging.INFO, "gigq", dict(JOB))
    full = open("/dev/full", "w")  # noqa: PTH123, SIM115 - a device, and its end fails too
    WorkerLog(full, logging.INFO).write("job.started", logging.INFO, "gigq", dict(JOB))
    with suppress(OSError):
        full.close()


def test_passwords_in_urls_are_masked_in_the_error_and_its_traceback() -> None:
    url = "postgresql://amy:hunter2@db/jobs"
    fields = {"error": f"OperationalError: {url}", "error_traceback": f"connect({url!r})"}

    assert "hunter2" not in entry("job.failed", {**JOB, **fields})
