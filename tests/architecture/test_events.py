"""The page of events says what the source emits."""

from __future__ import annotations

import re

import pytest
from support.event_names import PAGE, described, emitted

pytestmark = pytest.mark.docs

EMITTED = emitted()


def test_every_event_is_on_the_page():
    assert sorted(EMITTED.keys() - described().keys()) == []


def test_every_event_on_the_page_is_emitted():
    assert sorted(described().keys() - EMITTED.keys()) == []


@pytest.mark.parametrize("event", sorted(EMITTED))
def test_the_page_names_the_fields_of_an_event(event):
    row = next(
        line for line in PAGE.read_text(encoding="utf-8").splitlines() if f"`{event}`" in line
    )
    borrowed = [name for name in described() if f"as `{name}`" in row]
    known = described()[event].union(*(described()[name] for name in borrowed))

    assert sorted(EMITTED[event] - known) == []


def test_the_walk_finds_events_in_all_their_forms():
    assert {
        "job_interrupted",
        "job.rescued",
        "log_dropped",
        "worker_exited",
        "status",
    } <= EMITTED.keys()
    assert "limit" in EMITTED["job_interrupted"]
    assert re.search(r"^\| `status` \|", PAGE.read_text(encoding="utf-8"), re.MULTILINE)
