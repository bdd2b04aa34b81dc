"""What the crew does for its slots, as far as no child is needed."""

from __future__ import annotations

import selectors
from typing import Any

from gigqd.ipc.scoreboard import Report, Scoreboard
from gigqd.supervisor.children import Children
from gigqd.supervisor.slots import Action, Limits

NOBODY: Any = None


def test_a_slot_that_waits_out_a_delay_is_tried_at_once_when_its_child_is_to_be_replaced() -> None:
    children = Children(
        NOBODY, ("home", "gigqd:1"), Scoreboard(1), selectors.DefaultSelector(), NOBODY
    )
    slot = children.add("default/0", "default", Limits(30.0, 2.0, 120.0))
    slot.spawn_failed(100.0, "cannot fork")
    before = slot.step(100.0, Report())

    children.replace(slot)

    assert before is Action.NOTHING
    assert slot.step(100.0, Report()) is Action.SPAWN
