"""Listing jobs: by status, by queue, newest first."""

from __future__ import annotations

import pytest
from support import raw_sql
from support.ledger import insert

from gigq.store.verbs import jobs, listing


def only(one):
    return None if one is None else [one]


@pytest.fixture
def stored(db):
    rows = [("a", "mail"), ("b", "default"), ("c", "mail")]
    function = {"function_module": "m", "function_name": "f"}
    ids = insert(db, [{"id": id_, "name": id_, "queue": q, **function} for id_, q in rows])
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
    page = listing.page(db, listing.Filter(only(status), only(queue)))

    assert {row["id"] for row in page} == found


@pytest.mark.parametrize("status", [None, "pending", "failed", "running"])
@pytest.mark.parametrize(
    ("asked", "found"),
    [
        ({"name": "RESIZE"}, {"resize 1", "Resize 2"}),
        ({"error": "no space"}, {"resize 1"}),
        ({"workflow": "nightly"}, {"Resize 2", "mail"}),
        ({"since": "2026-01-02T00:00:00.000000+00:00"}, {"mail"}),
        ({"before": "2026-01-02T00:00:00.000000+00:00"}, {"resize 1", "Resize 2"}),
        ({"name": "resize", "workflow": "nightly"}, {"Resize 2"}),
        ({"name": "%"}, set()),
    ],
)
def test_every_condition_holds_for_every_status(db, status, asked, found):
    function = {"function_module": "m", "function_name": "f"}
    named = [("resize 1", 1, None), ("Resize 2", 1, "nightly"), ("mail", 2, "nightly")]
    rows = [
        {"id": name, "name": name, "created_at": f"2026-01-0{day}T00:00:00.000000+00:00",
         "workflow": workflow, **function}
        for name, day, workflow in named
    ]  # fmt: skip
    ids = insert(db, rows)
    with db.transaction(durable=False) as session:
        for id_, error in zip(ids, ("OSError: No space left", "ValueError", None), strict=True):
            raw_sql.execute(
                session,
                "UPDATE jobs SET error = ?, status = ? WHERE id = ?",
                (error, status or "pending", id_),
            )

    page = listing.page(db, listing.Filter(only(status), **asked))
    assert {row["name"] for row in page} == found


@pytest.mark.parametrize("status", [None, "pending", "failed", "running"])
def test_pages_follow_each_other(db, status):
    function = {"function_module": "m", "function_name": "f"}
    insert(db, [{"id": str(n), "name": str(n), **function} for n in range(5)])
    with db.transaction(durable=False) as session:
        raw_sql.execute(session, "UPDATE jobs SET status = ?", (status or "pending",))
    pages = [listing.page(db, listing.Filter(only(status)), 2, offset) for offset in (0, 2, 4, 6)]

    assert [[row["id"] for row in page] for page in pages] == [["4", "3"], ["2", "1"], ["0"], []]


def test_jobs_are_counted_by_queue(db, stored):
    assert listing.counts_by_queue(db) == {
        "default": {"pending": 1}, "mail": {"cancelled": 1, "pending": 1}
    }  # fmt: skip
    assert listing.counts_by_queue(db, ["mail"]) == {"mail": {"cancelled": 1, "pending": 1}}
    assert listing.counts_by_queue(db, ["nowhere"]) == {}


def test_several_statuses_and_queues_are_listed_together(db, stored):
    both = listing.Filter(["pending", "cancelled"], ["mail"])

    assert [row["id"] for row in listing.page(db, both)] == ["c", "a"]
    assert [row["id"] for row in listing.page(db, both, 1, 1)] == ["a"]
    assert {row["id"] for row in listing.page(db, listing.Filter(queues=["mail", "default"]))} == {
        *"abc"
    }
    assert listing.page(db, listing.Filter(statuses=[])) == []


def test_ids_are_those_of_the_jobs_that_a_page_would_hold_the_oldest_first(db, stored):
    assert listing.ids(db, listing.Filter()) == ["a", "b", "c"]
    assert listing.ids(db, listing.Filter(["pending"], ["mail", "default"])) == ["b", "c"]
    assert listing.ids(db, listing.Filter(["cancelled"], name="A")) == ["a"]
    assert listing.ids(db, listing.Filter(["cancelled"], name="b")) == []
