"""The reference of log events says what the source emits."""

from __future__ import annotations

import pytest
from support.event_names import described, emitted

pytestmark = pytest.mark.docs

EMITTED = emitted()


def test_every_event_is_described():
    assert sorted(EMITTED.keys() - described().keys()) == []


def test_every_described_event_is_emitted():
    assert sorted(described().keys() - EMITTED.keys()) == []


@pytest.mark.parametrize("event", sorted(EMITTED))
def test_the_fields_of_an_event_are_described(event):
    assert sorted(EMITTED[event] - described()[event]) == []


def test_the_walk_finds_events_in_all_their_forms():
    assert {
        "job_interrupted",
        "job.rescued",
        "log_dropped",
        "worker_exited",
        "status",
    } <= EMITTED.keys()
    assert "limit" in EMITTED["job_interrupted"]
