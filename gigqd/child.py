"""One child from the supervisor's side: its process, its line, its output, its end."""

from __future__ import annotations

import fcntl
import os
import signal
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

from gigqd import kernel, reaper
from gigqd.treekill import TreeKill

if TYPE_CHECKING:
    from gigqd.reaper import Death
    from gigqd.scoreboard import Cell, Why
    from gigqd.spawn import Birth
    from gigqd.tag import Tag
    from gigqd.wire import Wire

OUTPUT_KEPT = 64 * 1024
_OUTPUT_TRIMMED_AT = 4 * 1024 * 1024
_BLOCK = 512  # the unit of st_blocks, whatever the file system
_STACKS_KEPT = 64 * 1024


@dataclass(slots=True)
class Child:
    """A forked child.

    Attributes:
        pid: its process id; not reused before it is reaped.
        birth: what it was given at its fork.
        wire: the supervisor's end of the line to it.
        spawned: when it was forked, in seconds of the monotonic clock.
        generation: which of the daemon's configurations it was forked with.
        booted: whether it has become ready.
        treekill: the end of its tree, once that has begun.
        killed_at: when the first SIGKILL was sent; 0.0 when none was.
        overrun_at: the deadline that its job has passed; 0.0 when it has passed none.
        listening: whether its line is still waited on.
        line_lost_at: when its line was found closed; 0.0 while it is open.
    """

    pid: int
    birth: Birth
    wire: Wire
    spawned: float
    generation: int
    booted: bool = False
    treekill: TreeKill | None = None
    killed_at: float = 0.0
    overrun_at: float = 0.0
    listening: bool = True
    line_lost_at: float = 0.0

    @property
    def cell(self) -> Cell:
        """Its place on the scoreboard."""
        return self.birth.cell

    @property
    def killed(self) -> int:
        """How many processes of its tree have been sent SIGKILL."""
        return self.treekill.killed if self.treekill else 0

    @property
    def tag(self) -> Tag:
        """What marks it and all below it."""
        return self.birth.tag

    def look(self) -> Death | None:
        """How it died; None while it lives."""
        return reaper.look(self.pid)

    def ask_to_end(self, number: int, why: Why) -> None:
        """Have the stacks of its threads dumped, then an exception raised in its current job.

        Args:
            number: which of its executions is meant; another one that has begun meanwhile does
                not answer.
            why: which exception it is to be.
        """
        self.cell.ask_to_end(number, why)
        for each in (signal.SIGUSR1, signal.SIGUSR2, signal.SIGCONT):
            self._signal(each)

    def order_leave(self) -> None:
        """Tell it to leave after its current job."""
        self.cell.order_leave()
        self.wire.send({"leave": True})

    def begin_end(self) -> None:
        """Start ending its whole tree."""
        tag = self.tag
        self.treekill = TreeKill(self.pid, lambda other: other == tag)

    def output_tail(self) -> str:
        """The last of what its job wrote to standard output and error."""
        return tail(self.birth.output, OUTPUT_KEPT)

    def stacks(self) -> str:
        """The stacks of its threads, if they were dumped."""
        return tail(self.birth.stacks, _STACKS_KEPT)

    def trim_output(self) -> None:
        """Give back the memory of an output that has grown large, all but that of its tail."""
        fd = self.birth.output
        if fd is not None and os.fstat(fd).st_blocks * _BLOCK > _OUTPUT_TRIMMED_AT:
            kernel.free_front(fd, keep=OUTPUT_KEPT)

    def close(self) -> None:
        """Reap it and let go of all that belonged to it."""
        reaper.reap(self.pid)
        self.wire.close()
        for fd in (self.birth.output, self.birth.stacks):
            if fd is not None:
                os.close(fd)

    def _signal(self, number: signal.Signals) -> None:
        """Signal the child itself: as long as it is not reaped the number is its own."""
        with suppress(ProcessLookupError):
            os.kill(self.pid, number)


def scratch_file(name: str) -> int:
    """A nameless file in memory whose writers always append."""
    fd = os.memfd_create(name)
    fcntl.fcntl(fd, fcntl.F_SETFL, os.O_APPEND)
    return fd


def tail(fd: int | None, limit: int) -> str:
    """The last bytes of a file as text."""
    if fd is None:
        return ""
    size = os.fstat(fd).st_size
    read = os.pread(fd, limit, max(0, size - limit))
    return read.lstrip(b"\0").decode(errors="replace")  # what was freed reads as zero bytes
