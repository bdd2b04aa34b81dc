"""Fork of a child: its context, and the limits within which another child can be forked."""

from __future__ import annotations

import errno
import os
import resource
import selectors
from contextlib import ExitStack
from typing import TYPE_CHECKING

from gigqd.ipc import json_socket
from gigqd.linux import syscalls
from gigqd.linux.wakeup_timer import WakeupTimer
from gigqd.logs.completed_counts import SharedCounts
from gigqd.process import cgroups, spawn
from gigqd.process.child import scratch_file
from gigqd.process.process_tag import Tag
from gigqd.supervisor.slots import RECORDER

if TYPE_CHECKING:
    from collections.abc import Callable

    from gigqd.config import Config
    from gigqd.ipc.json_socket import JsonSocket
    from gigqd.ipc.scoreboard import Scoreboard
    from gigqd.process.cgroups import ControlGroup
    from gigqd.process.spawn import ChildContext
    from gigqd.supervisor.slots import Slot

_PER_CHILD = 4
_LONGEST_FILE_NAME = 249  # of a file in memory, memfd_create(2)
_SPARE = 96  # for looking at processes, for clients of the control socket, for the log


class ChildSetup:
    """Forks children, each with its own tag, scoreboard cell, socket and output.

    This process's limit of open files is raised to what the kernel allows, because every child
    takes some; the children get back the limit that it had.

    Args:
        origin: the database's id and the daemon's run, for the tags of children.
        board: the scoreboard, which has a cell for each child.
        selector: the supervisor's selector, for the wakeup timer.
    """

    def __init__(
        self, origin: tuple[str, str], board: Scoreboard, selector: selectors.BaseSelector
    ) -> None:
        self._home, self._run = origin
        self._board = board
        self._count = 0
        self._wakeup_timer = WakeupTimer()
        selector.register(self._wakeup_timer, selectors.EVENT_READ, self._wakeup_timer.clear)
        self._delegation = cgroups.enter_delegated_group()
        self._file_limit, most = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))

    def fork(
        self, slot: Slot, config: Config, role: Callable[[ChildContext], int]
    ) -> tuple[int, ChildContext, JsonSocket]:
        """Fork a child for a slot.

        Returns:
            Its process id, its context, and the supervisor's end of the socket to it.

        Raises:
            OSError: no child can be forked now; all that was opened for it is closed.
        """
        _require_descriptors()
        with ExitStack() as undo:
            cell = self._board.take()
            undo.callback(self._board.release, cell)
            ours, theirs = json_socket.pair()
            undo.callback(ours.close)
            with theirs:
                self._count += 1
                name = f"{slot.name}.{self._count}"
                output, stacks = _scratch_files(undo, name, wanted=slot.name != RECORDER)
                cgroup = self._make_group(undo)
                context = spawn.ChildContext(
                    slot=slot.name,
                    pool=slot.pool,
                    worker_id=f"{name}@{_supervisor(config)}",
                    tag=Tag(self._home, self._run, slot.name, self._count),
                    config=config,
                    cell=cell,
                    counts=SharedCounts(),
                    json_socket=theirs,
                    output=output,
                    stacks=stacks,
                    parent=os.getpid(),
                    file_limit=self._file_limit,
                    cgroup=cgroup,
                    wakeup_timer=self._wakeup_timer,
                )
                pid = spawn.fork(context, role)
            undo.pop_all()
        return pid, context, ours

    def _make_group(self, undo: ExitStack) -> ControlGroup | None:
        """Create a control group for the next child, where groups are delegated to the daemon."""
        if self._delegation is None:
            return None
        cgroup = self._delegation.make_group(f"{os.getpid()}.{self._count}")
        if cgroup is not None:
            undo.callback(cgroup.remove)
        return cgroup


def _scratch_files(undo: ExitStack, name: str, *, wanted: bool) -> tuple[int | None, int | None]:
    """Open files for a job's output and the stacks of its threads; the recorder has neither.

    `gigq logs` finds the output of a running job by the worker's name in the file's.
    """
    if not wanted:
        return None, None
    output = scratch_file(f"gigqd-output:{name}"[:_LONGEST_FILE_NAME])
    undo.callback(os.close, output)
    stacks = scratch_file("gigqd-stacks")
    undo.callback(os.close, stacks)
    return output, stacks


def missing_descriptors(children: int) -> int:
    """Return how many descriptors are missing for so many more children."""
    limit, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    if limit == resource.RLIM_INFINITY:
        return 0
    used = len(syscalls.open_descriptors())
    return max(0, used + children * _PER_CHILD + _SPARE - limit)


def _supervisor(config: Config) -> str:
    """Return what distinguishes this supervisor from the others on its database.

    On PostgreSQL they are on several hosts, and the name of a worker shows which host ran a job.
    """
    if config.database_file:
        return str(os.getpid())
    return f"{os.uname().nodename}:{os.getpid()}"


def _require_descriptors() -> None:
    """Refuse a child that would leave too few descriptors for the supervisor itself."""
    if missing := missing_descriptors(1):
        limit, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
        raise OSError(errno.EMFILE, f"{limit} files may be open, {missing} too few (RLIMIT_NOFILE)")
