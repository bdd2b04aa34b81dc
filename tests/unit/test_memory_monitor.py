"""Whose use of memory is judged; the watched process and the places on the scoreboard are real."""

from __future__ import annotations

import os
import subprocess
import sys
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest

from gigq.model.cause import Cause
from gigqd.ipc.scoreboard import Activity, Report, Scoreboard
from gigqd.process.process_tag import Tag
from gigqd.supervisor import memory_monitor
from gigqd.supervisor.memory_monitor import MemoryMonitor
from gigqd.supervisor.slots import Limits, Slot

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture
def process() -> Iterator[subprocess.Popen[bytes]]:
    waiting = "import signal; print(); signal.pause()"
    with subprocess.Popen([sys.executable, "-uc", waiting], stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.readline()  # it has its memory by then
        yield process
        process.kill()


def child_of(process: subprocess.Popen[bytes]) -> Any:
    """A worker whose job is over its memory limit."""
    cell = Scoreboard(1).take()
    cell.write(Report(Activity.BUSY, started=1, memory_limit=1))
    tag = Tag("home", f"gigqd:{os.getpid()}", "default/0", 1)
    return SimpleNamespace(
        pid=process.pid,
        tag=tag,
        cell=cell,
        oom_count=(-1, 0),
        note_resource_use=lambda *_used: None,
    )


@pytest.mark.parametrize("stays", [True, False], ids=["stays", "has ended"])
def test_a_look_judges_no_child_that_has_ended_since_it_began(
    process: subprocess.Popen[bytes], monkeypatch: pytest.MonkeyPatch, stays: bool
) -> None:
    monitor, child = MemoryMonitor(), child_of(process)
    slot = Slot("default/0", "default", Limits(30.0, 2.0, 120.0))
    with monkeypatch.context() as patched:
        patched.setattr(memory_monitor, "_TURN_SECONDS", 0.0)
        monitor.step([(slot, child)], 100.0)
    began = monitor.unfinished

    while monitor.unfinished:
        monitor.step([(slot, child)] if stays else [], 100.0)

    assert began
    assert (slot.end_request and slot.end_request.cause) == (Cause.MEMORY if stays else None)
