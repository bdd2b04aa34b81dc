"""Ending a whole process tree, and knowing that nothing is left of it.

Four nets, and a process must slip through all of them: it descends from the worker (psutil),
it is in the worker's session, it is in the worker's process group, or it carries the worker's
tag in its environment (which also finds orphans that the supervisor has adopted).

No process is signalled by its number alone: a pidfd is opened first, and only then the start
time is read again and compared, so a number that has been given to somebody else is left alone.
"""

from __future__ import annotations

import os
import signal
from contextlib import suppress
from typing import TYPE_CHECKING

import psutil

from gigqd import kernel
from gigqd.tag import tag_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from gigqd.tag import Tag

_FREEZE_ROUNDS = 10
_CLEAN_LOOKS = 2


class TreeKill:
    """One tree's end, taken a step at a time so that the supervisor's loop never waits.

    Args:
        root: the worker at the tree's top, an unreaped child of this process; None when only
            tagged processes are meant.
        owns: tells of a tag whether it marks a process of this tree.
    """

    def __init__(self, root: int | None, owns: Callable[[Tag], bool]) -> None:
        self._root = root
        self._owns = owns
        self._clean_looks = 0
        self._hit: set[tuple[int, int]] = set()
        self.denied: set[int] = set()

    @property
    def killed(self) -> int:
        """How many processes have been sent SIGKILL, the root included."""
        return len(self._hit)

    def step(self) -> bool:
        """Kill what is there; True once two looks in a row have found nothing alive."""
        frozen = self._freeze()
        self._kill(frozen)
        self._clean_looks = 0 if frozen else self._clean_looks + 1
        return self._clean_looks >= _CLEAN_LOOKS

    def _freeze(self) -> dict[int, int]:
        """Stop every process of the tree, until no new one turns up: a frozen tree cannot fork."""
        frozen: dict[int, int] = {}
        for _ in range(_FREEZE_ROUNDS):
            new = {pid: ticks for pid, ticks in self._find().items() if pid not in frozen}
            if not new:
                break
            for pid, ticks in new.items():
                self._signal(pid, ticks, signal.SIGSTOP)
            frozen |= new
        return frozen

    def _kill(self, frozen: dict[int, int]) -> None:
        if self._root is not None and frozen:
            self._kill_group(self._root)
        for pid, ticks in frozen.items():
            if self._signal(pid, ticks, signal.SIGKILL):
                self._hit.add((pid, ticks))

    def _kill_group(self, root: int) -> None:
        """SIGKILL to the root's own group; the unreaped root keeps that number from reuse."""
        with suppress(ProcessLookupError, PermissionError):
            if root > 1 and os.getpgid(root) == root != os.getpgrp():
                os.killpg(root, signal.SIGKILL)

    def _find(self) -> dict[int, int]:
        """The living processes of the tree with their start times."""
        descendants = self._descendants()
        found: dict[int, int] = {}
        for pid in kernel.all_pids():
            with suppress(ProcessLookupError):
                process = kernel.glance(pid)
                if process.alive and self._belongs(pid, process.session, descendants):
                    found[pid] = process.start_ticks
        return found

    def _belongs(self, pid: int, session: int, descendants: set[int]) -> bool:
        if pid in (1, os.getpid()):
            return False
        if self._root is not None and (self._root in (pid, session) or pid in descendants):
            return True
        tag = tag_of(pid)
        return tag is not None and self._owns(tag)

    def _descendants(self) -> set[int]:
        if self._root is None:
            return set()
        try:
            return {child.pid for child in psutil.Process(self._root).children(recursive=True)}
        except psutil.Error:  # gone or hidden: the other nets remain
            return set()

    def _signal(self, pid: int, ticks: int, number: signal.Signals) -> bool:
        """Signal a process if it still is the one that was found; whether it was sent."""
        try:
            descriptor = os.pidfd_open(pid)
        except ProcessLookupError:
            return False
        try:
            if kernel.start_ticks(pid) != ticks:
                return False
            signal.pidfd_send_signal(descriptor, number)
        except ProcessLookupError:
            return False
        except PermissionError:
            self.denied.add(pid)
            return False
        finally:
            os.close(descriptor)
        return True
