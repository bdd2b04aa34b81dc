"""A child whose socket is closed is looked at soon: its end may be reported a moment later."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from gigqd.ipc.scoreboard import Activity, Report
from gigqd.process.child import Child


@pytest.mark.parametrize("ended", [True, False])
def test_an_idle_child_is_watched_once_its_socket_is_closed(ended: bool) -> None:
    child: Any = Child.__new__(Child)
    child.json_socket = SimpleNamespace(ended=ended)
    child.context = SimpleNamespace()
    child.completed_counts = SimpleNamespace(is_open=False)

    assert Child.is_active(child, Report(Activity.IDLE)) is ended
