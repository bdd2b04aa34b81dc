"""The child manager: slots without a child, and children that others must not delay."""

from __future__ import annotations

import selectors
import signal
import sys
import time
from typing import TYPE_CHECKING, Any

from support.configs import config_in
from support.waiting import wait_until

from gigq.model.cause import Cause
from gigqd.ipc.scoreboard import Activity, Report, Scoreboard
from gigqd.supervisor import children as children_module
from gigqd.supervisor.children import Children
from gigqd.supervisor.slots import Action, Limits, Slot

if TYPE_CHECKING:
    from pathlib import Path

    import pytest

    from gigqd.process.spawn import ChildContext

NOT_USED: Any = None
LIMITS = Limits(30.0, 2.0, 120.0)


class ReadySlots:
    """The supervisor's callbacks: notes the slots whose child has booted."""

    def __init__(self) -> None:
        self.names: list[str] = []

    def child_ready(self, slot: Slot, _child: object) -> None:
        self.names.append(slot.name)

    def __getattr__(self, name: str) -> Any:
        return lambda *_: None


def idle(context: ChildContext) -> int:
    """The role of a child that has booted and waits."""
    context.cell.write(Report(Activity.IDLE))
    signal.pause()
    return 0


def test_children_that_are_up_do_not_wait_for_the_forks_of_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each turn has time for one fork only, as on a loaded machine."""
    monkeypatch.setattr(children_module, "_SLOTS_SECONDS", 0.0)
    for name in ("stdout", "stderr"):  # a child closes the files of pytest
        monkeypatch.setattr(sys, name, getattr(sys, f"__{name}__"))
    ready, board = ReadySlots(), Scoreboard(8)
    children = Children(
        config_in(tmp_path), ("home", "gigqd:1"), board, selectors.DefaultSelector(), ready
    )
    children._roles = {True: idle, False: idle}
    slots = [children.add(f"default/{number}", "default", LIMITS) for number in range(5)]
    try:
        children.step(time.monotonic())
        (first,) = children.children()
        wait_until(lambda: first.cell.read().activity is Activity.IDLE)
        children.step(time.monotonic())

        assert ready.names == ["default/0"]
        assert len(list(children.children())) == 2
    finally:
        end(children, slots)


def end(children: Children, slots: list[Slot]) -> None:
    """Kill all children and close their slots."""
    for slot in slots:
        slot.retired = True
        children.kill(slot, Cause.CRASHED, time.monotonic())

    def all_are_closed() -> bool:
        children.step(time.monotonic())
        return not children.slots

    wait_until(all_are_closed)


def test_a_slot_that_waits_out_a_delay_is_tried_at_once_when_its_child_is_to_be_replaced() -> None:
    children = Children(
        NOT_USED, ("home", "gigqd:1"), Scoreboard(1), selectors.DefaultSelector(), NOT_USED
    )
    slot = children.add("default/0", "default", LIMITS)
    slot.spawn_failed(100.0, "cannot fork")
    before = slot.step(100.0, Report())

    children.replace(slot)

    assert before is Action.NOTHING
    assert slot.step(100.0, Report()) is Action.SPAWN
