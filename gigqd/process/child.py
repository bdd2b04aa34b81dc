"""A child on the supervisor's side: its process, socket, output and exit."""

from __future__ import annotations

import errno
import fcntl
import os
import signal
from contextlib import suppress
from typing import TYPE_CHECKING, NamedTuple

from gigqd.ipc.scoreboard import Activity
from gigqd.linux import syscalls
from gigqd.logs.completed_counts import CompletedCounts
from gigqd.process import reap
from gigqd.process.kill_tree import TreeKill
from gigqd.process.thread_stacks import without_worker_frames

if TYPE_CHECKING:
    from resource import struct_rusage

    from gigq.model.cause import Cause
    from gigqd.ipc.exit_record import ExitRecord
    from gigqd.ipc.json_socket import JsonSocket
    from gigqd.ipc.scoreboard import Cell, Report
    from gigqd.process.process_tag import Tag
    from gigqd.process.spawn import ChildContext

_OUTPUT_TRIMMED_AT = 4 * 1024 * 1024
_BLOCK = 512  # the unit of st_blocks on every file system
_STACKS_KEPT = 64 * 1024
_DISCONNECTED_AFTER = 1.0
_HELD_UP_AFTER = 0.02


class ResourceUse(NamedTuple):
    """Resources that a worker's process tree was measured to use during one execution.

    Attributes:
        number: the execution's number.
        memory: the most memory, in bytes.
        cpu: the CPU time of the processes that were alive at the last scan, in seconds.
    """

    number: int
    memory: int = 0
    cpu: float = 0.0


class Child:
    """A forked child.

    Attributes:
        pid: its process id; not reused before it is reaped.
        context: the values that it received at its fork.
        json_socket: the supervisor's end of the socket to it.
        spawned: the time of its fork, in seconds of the monotonic clock.
        generation: the number of the configuration that it was forked with.
        booted: True once it is ready.
        treekill: the kill of its process tree, once that has begun.
        killed_execution: the number of the execution that the kill ended; None without one.
        killed_at: the time of the first SIGKILL; 0.0 without one.
        overrun_at: the deadline that its job has passed; 0.0 without one.
        listening: True while its socket is registered in the selector.
        disconnected_at: when its socket was found closed; 0.0 while it is open.
        began: the number of its last execution and the time of its start, on the same clock.
        resource_use: the resources that its tree was last measured to use.
        oom_count: the number of its last execution, and the count of the out-of-memory killer at
            the start of that execution.
        own_error: the id of an execution whose retry function runs, and the error of the job.
        usage: its resource usage as the kernel reports it, once it is reaped.
        completed_counts: writes the sums of its successful jobs.
    """

    booted: bool = False
    treekill: TreeKill | None = None
    killed_execution: int | None = None
    killed_at: float = 0.0
    overrun_at: float = 0.0
    listening: bool = True
    disconnected_at: float = 0.0
    began: tuple[int, float] = (0, 0.0)
    resource_use: ResourceUse = ResourceUse(0)
    oom_count: tuple[int, int] = (-1, 0)
    own_error: tuple[str, str] = ("", "")
    usage: struct_rusage | None = None

    def __init__(
        self,
        pid: int,
        context: ChildContext,
        json_socket: JsonSocket,
        spawned: float,
        generation: int,
    ) -> None:
        self.pid = pid
        self.context = context
        self.json_socket = json_socket
        self.spawned = spawned
        self.generation = generation
        self.completed_counts = CompletedCounts(
            context.counts, slot=context.slot, pool=context.pool, worker=context.worker_id
        )

    @property
    def cell(self) -> Cell:
        """Its place on the scoreboard."""
        return self.context.cell

    @property
    def killed(self) -> int:
        """Return how many processes of its tree were sent SIGKILL."""
        return self.treekill.killed if self.treekill else 0

    @property
    def tag(self) -> Tag:
        """Return the tag of its process tree."""
        return self.context.tag

    def exit_record(self) -> ExitRecord | None:
        """Return how it ended, without reaping it; None while it lives."""
        return reap.exit_record_of(self.pid)

    def order_interrupt(self, number: int, cause: Cause) -> None:
        """Have the stacks of its threads dumped, then an exception raised in its current job.

        Args:
            number: the number of the execution; a later one is not interrupted.
            cause: the reason, which selects the exception.
        """
        self.cell.order_interrupt(number, cause)
        self._signal(signal.SIGUSR1, signal.SIGUSR2, signal.SIGCONT)

    def interrupt_again(self) -> None:
        """Repeat the signal that raises the exception, in case it came just before a blocking call.

        The worker raises once for each execution, however often it is signalled.
        """
        self._signal(signal.SIGUSR2, signal.SIGCONT)

    def ask_for_stacks(self) -> None:
        """Have the stacks of its threads dumped."""
        self._signal(signal.SIGUSR1, signal.SIGCONT)

    def order_leave(self) -> None:
        """Order it to exit after its current job, and continue it if it is stopped."""
        self.cell.order_leave()
        self.json_socket.send({"leave": True})
        self._signal(signal.SIGCONT)

    def pause_claims(self, *, on: bool) -> None:
        """Suspend its claims, or resume them."""
        self.cell.pause_claims(on=on)
        self.json_socket.send({"pause_claims": on})

    def note(self, report: Report, now: float) -> None:
        """Keep the start of its execution from its report, and write the sums of its jobs.

        While a long job runs, its worker must release its other claims.
        """
        self.completed_counts.step(now)
        if report.activity is Activity.BUSY:
            self.began = (report.started, report.since)
            if report.held and now - report.since > _HELD_UP_AFTER:
                self.cell.order_release(report.started)
                self._signal(signal.SIGUSR2)

    def is_active(self, report: Report) -> bool:
        """Return True while it runs a job or is about to end, or a sum of its jobs is open.

        A process that ends closes its socket before the kernel reports its end.
        """
        is_ending = self.json_socket.ended
        return report.activity >= Activity.BUSY or is_ending or self.completed_counts.is_open

    def note_resource_use(self, number: int, memory: int, cpu: float) -> None:
        """Keep the resources that its tree uses during an execution, and show them to its job."""
        before = self.resource_use.memory if self.resource_use.number == number else 0
        self.resource_use = ResourceUse(number, max(before, memory), cpu)
        self.cell.note_peak(number, self.resource_use.memory)

    def note_use_at_kill(self) -> None:
        """Keep the resources that its tree used when it was killed."""
        if self.treekill is not None and self.killed_execution is not None:
            self.note_resource_use(self.killed_execution, *self.treekill.used)

    def job_began(self, number: int) -> float:
        """Return when an execution began, in seconds of the monotonic clock; 0.0 when unknown."""
        return self.began[1] if self.began[0] == number else 0.0

    def peak_of_job(self, number: int) -> int:
        """Return the peak memory of an execution's processes, in bytes."""
        resource_use = self.resource_use.memory if self.resource_use.number == number else 0
        return max(resource_use, self.usage.ru_maxrss * 1024 if self.usage else 0)

    def cpu_of_job(self, report: Report) -> float:
        """Return the CPU time of its last execution's processes, in seconds."""
        resource_use = self.resource_use.cpu if self.resource_use.number == report.started else 0.0
        used = self.usage.ru_utime + self.usage.ru_stime if self.usage else 0.0
        return max(0.0, max(resource_use, used) - report.cpu)

    def begin_tree_kill(self) -> TreeKill:
        """Begin to kill its whole process tree."""
        report = self.cell.read()
        self.killed_execution = report.started if report.activity is Activity.BUSY else None
        self.treekill = TreeKill(self.pid, self.tag.matches, self.context.cgroup)
        return self.treekill

    def is_disconnected(self, now: float) -> bool:
        """Return True when its socket has been closed for a second: it gets no more orders."""
        if self.json_socket.ended and not self.disconnected_at:
            self.disconnected_at = now
        return bool(self.disconnected_at) and now - self.disconnected_at > _DISCONNECTED_AFTER

    def output_tail(self) -> str:
        """Return the end of its job's standard output and error."""
        return tail(self.context.output, self.context.output_kept)

    def stacks(self) -> str:
        """Return the stacks of its threads, if they were dumped."""
        return dumped_stacks(self.context.stacks)

    def trim_output(self) -> None:
        """Free the memory of an output that has grown large, except its tail."""
        fd = self.context.output
        if fd is not None and os.fstat(fd).st_blocks * _BLOCK > _OUTPUT_TRIMMED_AT:
            syscalls.free_front(fd, keep=self.context.output_kept)

    def reap(self) -> None:
        """Reap it; from now on the kernel may reuse its process id."""
        self.usage = reap.reap(self.pid)

    def close(self) -> None:
        """Close its socket and its files."""
        self.json_socket.close()
        for fd in (self.context.output, self.context.stacks):
            if fd is not None:
                os.close(fd)

    def _signal(self, *numbers: signal.Signals) -> None:
        """Signal the child itself: until it is reaped, the process id is its own."""
        for number in numbers:
            with suppress(ProcessLookupError):
                syscalls.signal_main_thread(self.pid, number)


def scratch_file(name: str) -> int:
    """Open a nameless file in memory whose writers always append.

    Where a filter of system calls refuses that, open one in the folder for temporary files, which
    `gigq logs -f` does not find.
    """
    try:
        fd = os.memfd_create(name)
    except OSError as error:
        if error.errno not in (errno.EPERM, errno.ENOSYS, errno.EACCES):
            raise
        import tempfile  # needed only here; it loads a megabyte of modules

        with tempfile.TemporaryFile(buffering=0) as file:
            fd = os.dup(file.fileno())
    fcntl.fcntl(fd, fcntl.F_SETFL, os.O_APPEND)
    return fd


def tail(fd: int | None, limit: int) -> str:
    """Return the last bytes of a file as text, without a character that is cut."""
    if fd is None or limit <= 0:
        return ""
    size = os.fstat(fd).st_size
    read = os.pread(fd, limit, max(0, size - limit))
    whole = read[_bytes_of_cut_character(read) if size > limit else 0 :]
    return whole.lstrip(b"\0").decode(errors="replace")  # the freed front reads as zero bytes


def dumped_stacks(fd: int | None) -> str:
    """Return the end of a file with dumps of stacks, without the frames of gigq itself."""
    return without_worker_frames(tail(fd, _STACKS_KEPT))


def _bytes_of_cut_character(text: bytes) -> int:
    """Return how many bytes at the start belong to a UTF-8 character that began before."""
    start = text[:3]
    return len(start) - len(start.lstrip(bytes(range(0x80, 0xC0))))
