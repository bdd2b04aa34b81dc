"""Fork of one child, and its preparation before its role begins."""

from __future__ import annotations

import gc
import os
import resource
import sys
from typing import TYPE_CHECKING, NamedTuple

from gigqd import exit_codes, logs
from gigqd.linux import signals, syscalls
from gigqd.process import cgroups
from gigqd.process.process_tag import tag_this_process

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable
    from typing import NoReturn

    from gigqd.config import Config
    from gigqd.ipc.scoreboard import Cell
    from gigqd.linux.wakeup_timer import WakeupTimer
    from gigqd.logs.completed_counts import SharedCounts
    from gigqd.process.cgroups import ControlGroup
    from gigqd.process.process_tag import Tag

log = logs.get_logger(__name__)


class ChildContext(NamedTuple):
    """The values that a child receives at its fork.

    Attributes:
        slot: the slot's name, as "default/0" or "recorder".
        pool: the pool's name; empty for the recorder.
        worker_id: the name under which it claims jobs; used once in a run.
        tag: the tag of this process and its descendants.
        config: the configuration of this generation.
        cell: the slot's place on the scoreboard.
        counts: the shared counters of successful jobs that have no log line of their own.
        json_socket: the child's end of the socket to the supervisor.
        output: the descriptor for the job's standard output and error; None keeps the daemon's.
        stacks: the descriptor for dumps of all threads' stacks; None for the recorder.
        parent: the supervisor's process id.
        file_limit: its soft limit of open files.
        cgroup: its control group, where systemd has delegated one to the daemon.
        wakeup_timer: the timer that wakes the supervisor.
    """

    slot: str
    pool: str
    worker_id: str
    tag: Tag
    config: Config
    cell: Cell
    counts: SharedCounts
    json_socket: socket.socket
    output: int | None
    stacks: int | None
    parent: int
    file_limit: int
    cgroup: ControlGroup | None
    wakeup_timer: WakeupTimer

    @property
    def output_kept(self) -> int:
        """Number of bytes that are kept of a job's output."""
        return self.config.keep_output_of(self.pool)


def settle_memory() -> None:
    """Exclude the supervisor's objects from garbage collection, so that children share them.

    There is hardly any garbage among them, and a collection would take longer than a fork.
    """
    gc.freeze()
    gc.enable()


def fork(context: ChildContext, role: Callable[[ChildContext], int]) -> int:
    """Fork a child that runs a role and always ends by `os._exit`.

    Returns:
        The child's process id.

    Raises:
        OSError: the kernel refused (too many processes, no memory).
    """
    mask = signals.block_all()
    try:
        pid = os.fork()
        if pid == 0:
            _run_child(context, role)
    finally:
        signals.restore(mask)
    return pid


def _run_child(context: ChildContext, role: Callable[[ChildContext], int]) -> NoReturn:
    code = exit_codes.WORKER_BOOT_FAILED
    try:
        _become_child(context)
        code = role(context)
    except BaseException:
        log.exception("child_failed", slot=context.slot)
    finally:
        flush_standard_streams()
        os._exit(code)


def _become_child(context: ChildContext) -> None:
    signals.forget_in_child()
    os.setsid()
    syscalls.die_with_parent(context.parent)
    syscalls.name_process(f"gigqd:{context.slot}")
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    # Until its own descriptors are arranged, a child has all those of the supervisor.
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    _arrange_descriptors(context)
    # The hard limit may have been lowered since the start.
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(context.file_limit, most), most))
    tag_this_process(context.tag)
    cgroups.join(context.cgroup)
    signals.restore(set())


def _arrange_descriptors(context: ChildContext) -> None:
    """Close all descriptors but the child's own, and redirect the job's output."""
    own_log = os.dup(logs.sink_fd())
    log_config = context.config.log.replace(file=logs.sink_path())
    logs.configure(log_config, fd=own_log, slot=context.slot, pid=os.getpid())
    if context.pool:
        logs.bind(pool=context.pool, worker=context.worker_id)
    given = (
        context.json_socket.fileno(),
        context.wakeup_timer.fileno(),
        context.output,
        context.stacks,
    )
    _close_all_but({own_log, logs.sink_fd(), *(fd for fd in given if fd is not None)})
    with open(os.devnull, "rb") as nothing:  # noqa: PTH123 - only the descriptor is wanted
        os.dup2(nothing.fileno(), 0)
    if context.output is not None:
        os.dup2(context.output, 1)
        os.dup2(context.output, 2)
        _write_through()


def _close_all_but(keep: set[int]) -> None:
    start = 3
    for fd in sorted(keep):
        os.closerange(start, max(start, fd))
        start = max(start, fd + 1)
    os.closerange(start, max(syscalls.open_descriptors()) + 1)


def _write_through() -> None:
    """Pass every printed line to the kernel at once, so that a kill does not lose it."""
    for stream in (sys.stdout, sys.stderr):
        stream.reconfigure(line_buffering=True, errors="backslashreplace")  # type: ignore[union-attr]


def flush_standard_streams() -> bool:
    """Flush both streams; return False when a job has closed or replaced one."""
    whole = True
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except (OSError, ValueError, AttributeError):
            whole = False
    return whole
