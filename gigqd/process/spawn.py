"""Forking one child, and making a clean process of it before its role begins."""

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
    from gigqd.logs.job_sums import SharedCounts
    from gigqd.process.cgroups import ControlGroup
    from gigqd.process.process_tag import Tag

log = logs.get_logger(__name__)


class ChildContext(NamedTuple):
    """What a child is given at its fork.

    Attributes:
        slot: the slot's name, as "default/0" or "recorder".
        pool: the pool's name; empty for the recorder.
        worker_id: the name under which it claims jobs; not used twice within a run.
        tag: marks this process and all below it.
        config: the configuration of this generation.
        cell: the slot's place on the scoreboard.
        counts: where it counts successful jobs without a line of their own.
        channel: the child's end of its line to the supervisor.
        output: where the job's standard output and error go; None keeps the daemon's own.
        stacks: where the stacks of all threads are dumped on request; None for the recorder.
        parent: the supervisor's process id.
        file_limit: how many files it may have open, unless it asks the kernel for more.
        leaf: its control group, where the system has delegated one to the daemon.
        alarm: wakes the supervisor.
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
        """How much of a job's output is kept, in bytes."""
        pools = self.config.pools
        return next((pool.keep_output for pool in pools if pool.name == self.pool), 0)


def settle_memory() -> None:
    """Move what the supervisor holds out of the collector's sight, so that children share it.

    There is hardly any garbage in it, and to look for some would take longer than a fork.
    """
    gc.freeze()
    gc.enable()


def fork(context: ChildContext, role: Callable[[ChildContext], int]) -> int:
    """Fork a child that plays a role and ends by `os._exit`, whatever happens in it.

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
    _arrange_descriptors(context)
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    # It may have been lowered since the start.
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(context.file_limit, most), most))
    tag_this_process(context.tag)
    cgroups.join(context.cgroup)
    signals.restore(set())


def _arrange_descriptors(context: ChildContext) -> None:
    """Keep the child's own descriptors only, and put the job's output where it belongs."""
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
    os.closerange(start, _highest_descriptor() + 1)


def _highest_descriptor() -> int:
    return max(int(name) for name in os.listdir("/proc/self/fd"))  # noqa: PTH208 - numbers only


def _write_through() -> None:
    """Let every line that a job prints reach the kernel at once: a kill must not lose it."""
    for stream in (sys.stdout, sys.stderr):
        stream.reconfigure(line_buffering=True, errors="backslashreplace")  # type: ignore[union-attr]


def flush_standard_streams() -> bool:
    """Write out what a job has printed; False when it has closed a stream, or put none there."""
    whole = True
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except (OSError, ValueError, AttributeError):
            whole = False
    return whole
