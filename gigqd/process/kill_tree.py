"""Kill of a whole process tree, with the proof that none of its processes is left.

A process belongs to the tree of a worker when it descends from the worker, is in its session, was
adopted by the supervisor with the worker's environment tag or rlimit tag, or descends from such a
process. Where systemd has delegated a control group, membership in the worker's group counts too.

First every process is stopped, until a scan finds none that still runs: a stopped tree cannot fork.
Each process is stopped as soon as it is seen, before its children are listed. Then all are killed,
and the scans go on until two in a row find no live process and no new one that has ended since.
However fast the tree forks, a step has a time limit, and the next step continues
the scan.
"""

from __future__ import annotations

import os
import signal
import time
from contextlib import suppress
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING

from gigqd import logs
from gigqd.linux import syscalls
from gigqd.process.process_tag import tags_of
from gigqd.process.process_tree import descendants
from gigqd.process.safe_signal import Sent, send, send_to_group
from gigqd.time_slice import advance

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator

    from gigqd.linux.syscalls import Process
    from gigqd.process.cgroups import ControlGroup
    from gigqd.process.process_tag import ProcessTags

log = logs.get_logger(__name__)

_Identity = tuple[int, int]

_FREEZE_ROUNDS = 20
_CLEAN_SCANS = 2
_STEP_SECONDS = 0.03


class TreeKill:
    """The kill of one tree, in short steps so that the supervisor's loop hardly waits.

    `step` scans for the tree by itself. Where many are killed at once, one scan serves them all
    (see gigqd/process/concurrent_kills.py): then `begin_scan`, `see` and `end_scan` are called.

    Args:
        root: the worker at the tree's top, an unreaped child of this process or this process
            itself, which then stays; None when only tagged processes are meant.
        owns: returns True for the tags of this tree; `Tag.matches` of the worker's tag.
        cgroup: the worker's control group, if it has one; it is removed with the tree.

    Attributes:
        root: the worker.
        done: True when two scans in a row have found no live process.
        waits: True when the last scan found only processes that were sent SIGKILL: a pause is due.
        used: memory in bytes and CPU time in seconds of the tree at the first scan.
        denied: the ids of the processes that this one may not signal.
        killed_at: the time of the first SIGKILL, in seconds of the monotonic clock; 0.0 without
            one.
    """

    def __init__(
        self,
        root: int | None,
        owns: Callable[[ProcessTags], bool],
        cgroup: ControlGroup | None = None,
    ) -> None:
        self.root = root
        self._owns = owns
        self._cgroup = cgroup
        self._top = adopter_of(root)
        self._judged: dict[_Identity, bool] = {}
        self._met: set[_Identity] = set()
        self._held: dict[_Identity, int] = {}  # with its group
        self._hit: set[_Identity] = set()
        self._scans = self._clean_scans = self._freezes = 0
        self._new = self._alive = self._restless = self._missed = False
        self._work = self._passes()
        self.done = self.waits = False
        self.used = (0, 0.0)
        self.denied: set[int] = set()
        self.killed_at = 0.0

    @property
    def met(self) -> Collection[_Identity]:
        """All processes that were seen in the tree."""
        return self._met

    @property
    def killed(self) -> int:
        """Number of processes that were sent SIGKILL, the root included."""
        return len(self._hit)

    def step(self, seconds: float = _STEP_SECONDS) -> bool:
        """Continue the kill; return True once two scans in a row have found no live process.

        Args:
            seconds: the time that the step may take, except for a process that takes longer.
        """
        return advance(self._work, seconds)

    def _passes(self) -> Iterator[bool]:
        """Yield after each process; True at the end of a scan when a pause is due."""
        while not self.done:
            self.begin_scan()
            for process in self._members():
                self.see(process)
                yield False
            for _ in self.end_scan():
                yield False
            yield self.waits

    # --- one scan ----------------------------------------------------------------------------

    def begin_scan(self) -> None:
        """Begin a scan of the whole tree; from the second on, kill its control group."""
        self._new = self._alive = self._restless = self._missed = False
        if self._cgroup is not None and self._scans:
            inside = self._cgroup.processes()
            if inside and self._cgroup.kill():
                self._note_kill()
                self._hit.update(process.identity for process in inside)

    def see(self, process: Process) -> None:
        """Stop a process of the tree at once: its children can then be listed completely.

        Args:
            process: a member; one that has ended and was not reaped counts too.
        """
        if process.identity not in self._met:
            self._met.add(process.identity)
            self._restless = True  # it may have left a zombie or a child
            if not self._scans:
                self.used = (self.used[0] + process.memory, self.used[1] + process.cpu)
        if process.alive:
            self._alive = True
            if process.identity not in self._held:
                self._new = True
                self._held[process.identity] = process.group
                self._send(process.identity, signal.SIGSTOP)

    def end_scan(self) -> Iterator[None]:
        """Kill all processes once a scan has found none that still ran; yield after each."""
        self._scans += 1
        self._freezes = self._freezes + 1 if self._new else 0
        if not self._new or self._freezes >= _FREEZE_ROUNDS:
            self._freezes = 0
            yield from self._kill()
        clean = not (self._alive or self._restless or (self._cgroup and not self._cgroup.is_empty))
        self._clean_scans = self._clean_scans + 1 if clean else 0
        self.waits = not clean and not self._restless
        self.done = self._clean_scans >= self._scans_needed
        if self.done and self._cgroup:
            self._cgroup.remove()

    @property
    def _scans_needed(self) -> int:
        """Number of scans without a live process after which the tree counts as gone.

        One scan of all of /proc is enough when it met no process and none ended during it. Ids are
        listed in rising order: of a chain of processes, each of which forks the next and ends, one
        is either seen or listed and gone.
        """
        nothing_was_there = self._top is None and not self._met and not self._missed
        return 1 if nothing_was_there else _CLEAN_SCANS

    # --- finding -----------------------------------------------------------------------------

    def _members(self) -> Iterator[Process]:
        """Yield the processes of the tree, newest first, zombies included."""
        pids = syscalls.all_pids() if self._top is None else syscalls.children_of(self._top)
        for pid in reversed(pids):
            try:
                process = syscalls.read_process(pid)
            except ProcessLookupError:
                self._missed = True
                continue
            if self._top in (None, process.parent) and self._belongs(process):
                yield from killable(process)

    def _belongs(self, process: Process) -> bool:
        if self.root is not None and self.root in (process.pid, process.session):
            return True
        if process.identity in self._met:
            return True
        if process.identity not in self._judged:
            self._judged[process.identity] = self._owns(tags_of(process.pid))
        return self._judged[process.identity]

    # --- killing -----------------------------------------------------------------------------

    def _kill(self) -> Iterator[None]:
        root = None if self.root == os.getpid() else self.root
        left = {identity for identity in self._held if identity not in self._hit}
        if left and root and send_to_group(root, signal.SIGKILL) is Sent.SENT:
            self._note_kill()
            # Counted now: one that is reaped before its own signal is not found again.
            self._hit |= {identity for identity in left if self._held[identity] == root}
        for identity in left:
            if self._send(identity, signal.SIGKILL):
                self._note_kill()
                self._hit.add(identity)
            yield

    def _note_kill(self) -> None:
        self.killed_at = self.killed_at or time.monotonic()

    def _send(self, identity: _Identity, number: signal.Signals) -> bool:
        sent = send(identity, number)
        if sent is Sent.DENIED and identity[0] not in self.denied:
            self.denied.add(identity[0])
            log.error("kill_denied", pid=identity[0], uid=_owner_of(identity[0]))
        return sent is Sent.SENT


def killable(head: Process) -> Iterator[Process]:
    """Yield a process and its descendants, but never this process or process 1."""
    for process in chain((head,), descendants(head)):
        if process.pid not in (1, os.getpid()):
            yield process


def adopter_of(root: int | None) -> int | None:
    """Return the process that adopts the tree's orphans; None when it may be any process."""
    if root is None:
        return None
    if root == os.getpid():
        return os.getppid()
    return os.getpid() if syscalls.is_subreaper() else None


def _owner_of(pid: int) -> int | None:
    with suppress(OSError):
        return Path(f"/proc/{pid}").stat().st_uid
    return None
