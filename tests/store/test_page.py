"""Listing jobs: by status, by queue, newest first."""

from __future__ import annotations

import pytest

from gigq.store import jobs


@pytest.fixture
def stored(db):
    rows = [("a", "mail"), ("b", "default"), ("c", "mail")]
    function = {"function_module": "m", "function_name": "f"}
    ids = jobs.insert(db, [{"id": id_, "name": id_, "queue": q, **function} for id_, q in rows])
    jobs.cancel(db, ["a"])
    return ids


@pytest.mark.parametrize(
    ("status", "queue", "found"),
    [
        (None, None, {"a", "b", "c"}),
        ("pending", None, {"b", "c"}),
        (None, "mail", {"a", "c"}),
        ("pending", "mail", {"c"}),
        ("running", "mail", set()),
    ],
)
def test_a_page_holds_the_jobs_of_one_status_and_queue(db, stored, status, queue, found):
    page = jobs.page(db, status, queue=queue)

    assert {row["id"] for row in page} == found
