from __future__ import annotations

import pytest

from gigq.model.cause import Cause
from gigq.model.job_status import FINISHED, TRANSITIONS, JobStatus


def test_the_status_texts_are_those_that_applications_store_and_compare() -> None:
    texts = {status.name: status.value for status in JobStatus}

    assert texts == {
        "PENDING": "pending",
        "RUNNING": "running",
        "COMPLETED": "completed",
        "FAILED": "failed",
        "CANCELLED": "cancelled",
        "TIMEOUT": "timeout",
    }


def test_a_job_that_neither_waits_nor_runs_is_finished() -> None:
    assert set(JobStatus) - FINISHED == {JobStatus.PENDING, JobStatus.RUNNING}


EDGES = """
pending>running pending>cancelled pending>failed
running>completed running>failed running>timeout running>cancelled running>pending
failed>pending timeout>pending cancelled>pending
"""


@pytest.mark.parametrize("old", JobStatus)
@pytest.mark.parametrize("new", JobStatus)
def test_a_job_moves_only_along_the_published_edges(old: JobStatus, new: JobStatus) -> None:
    published = f"{old.value}>{new.value}" in EDGES.split()

    assert (new in TRANSITIONS[old]) == published


def test_a_cause_reads_as_its_text_when_stored() -> None:
    assert f"{Cause.OOM}" == "oom"
