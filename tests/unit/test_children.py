"""The child manager's work on slots without a child."""

from __future__ import annotations

import selectors
from typing import Any

from gigqd.ipc.scoreboard import Report, Scoreboard
from gigqd.supervisor.children import Children
from gigqd.supervisor.slots import Action, Limits

NOT_USED: Any = None


def test_a_slot_that_waits_out_a_delay_is_tried_at_once_when_its_child_is_to_be_replaced() -> None:
    children = Children(
        NOT_USED, ("home", "gigqd:1"), Scoreboard(1), selectors.DefaultSelector(), NOT_USED
    )
    slot = children.add("default/0", "default", Limits(30.0, 2.0, 120.0))
    slot.spawn_failed(100.0, "cannot fork")
    before = slot.step(100.0, Report())

    children.replace(slot)

    assert before is Action.NOTHING
    assert slot.step(100.0, Report()) is Action.SPAWN
