"""Ending a whole process tree, and knowing that nothing is left of it.

A process must slip through every net: it descends from the worker, it is in the worker's session,
it was adopted by the supervisor and carries the worker's tag or stamp, or it descends from such a
one. Where the system has delegated a control group, that is one more net, and the first.

First everything is stopped, until a look finds nothing that still runs: a stopped tree cannot fork.
Then it is killed, and looked for until two looks in a row find nothing alive, and nothing that
has come and gone between them. A tree may fork as fast as it can: a step takes what time it is
given, and the next one goes on from there.
"""

from __future__ import annotations

import os
import signal
import time
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from gigqd import kernel, logs
from gigqd.process_tree import descendants
from gigqd.sending import Sent, send, send_to_group
from gigqd.tag import mark_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from gigqd.cgroups import Leaf
    from gigqd.kernel import Process
    from gigqd.tag import Mark

log = logs.get_logger("gigqd.treekill")

_Identity = tuple[int, int]

_FREEZE_ROUNDS = 20
_CLEAN_LOOKS = 2
_STEP_SECONDS = 0.03


class TreeKill:
    """One tree's end, taken a step at a time so that the supervisor's loop hardly waits.

    Args:
        root: the worker at the tree's top, an unreaped child of this process or this process
            itself, which then stays; None when only marked processes are meant.
        owns: tells of a mark whether it is one of this tree; `Tag.is_on` of the worker's tag.
        leaf: the worker's control group, if it has one; it is removed with the tree.

    Attributes:
        denied: the processes that may not be signalled, by id.
        killed_at: when the first SIGKILL was sent, in seconds of the monotonic clock; 0.0 when none
            was.
    """

    def __init__(
        self, root: int | None, owns: Callable[[Mark], bool], leaf: Leaf | None = None
    ) -> None:
        self._root = root
        self._owns = owns
        self._leaf = leaf
        self._top = _who_adopts(root)
        self._judged: dict[_Identity, bool] = {}
        self._met: set[_Identity] = set()
        self._held: dict[_Identity, int] = {}  # with its group
        self._hit: set[_Identity] = set()
        self._clean_looks = 0
        self._work = self._passes()
        self.denied: set[int] = set()
        self.killed_at = 0.0

    @property
    def killed(self) -> int:
        """How many processes have been sent SIGKILL, the root included."""
        return len(self._hit)

    def step(self, seconds: float = _STEP_SECONDS) -> bool:
        """Kill what is there; True once two looks in a row have found nothing alive.

        Args:
            seconds: how long a step may take; a little more when a single look at a process does.
        """
        until = time.monotonic() + seconds
        while (pass_over := next(self._work, None)) is not None:
            if pass_over or time.monotonic() >= until:
                return False
        return True

    def _passes(self) -> Iterator[bool]:
        """The work, in pieces of some microseconds; True when a pass is over and a pause is due."""
        while self._clean_looks < _CLEAN_LOOKS:
            self._kill_group_of_leaf()
            yield from self._freeze()
            yield from self._kill()
            met = len(self._met)
            alive = False
            for process in self._members():
                alive = alive or process.alive
                yield False
            # Who came and went during the look has left a dead body, and perhaps a child.
            restless = len(self._met) > met
            clean = not (alive or restless or (self._leaf and not self._leaf.is_empty))
            self._clean_looks = self._clean_looks + 1 if clean else 0
            yield not clean and not restless
        if self._leaf:
            self._leaf.remove()

    # --- finding -----------------------------------------------------------------------------

    def _members(self) -> Iterator[Process]:
        """The processes of the tree, dead ones that nobody has reaped included; newest first."""
        pids = kernel.all_pids() if self._top is None else kernel.children_of(self._top)
        for pid in reversed(pids):
            with suppress(ProcessLookupError):
                process = kernel.glance(pid)
                if self._top in (None, process.parent) and self._belongs(process):
                    yield from self._meet(process)
                    for below in descendants(process):
                        yield from self._meet(below)

    def _meet(self, process: Process) -> Iterator[Process]:
        if process.pid not in (1, os.getpid()):
            self._met.add(process.identity)
            yield process

    def _belongs(self, process: Process) -> bool:
        if self._root is not None and self._root in (process.pid, process.session):
            return True
        if process.identity in self._met:
            return True
        if process.identity not in self._judged:
            self._judged[process.identity] = self._owns(mark_of(process.pid))
        return self._judged[process.identity]

    # --- ending ------------------------------------------------------------------------------

    def _kill_group_of_leaf(self) -> None:
        if self._leaf is not None:
            inside = self._leaf.processes()
            if inside and self._leaf.kill():
                self._note_kill()
                self._hit.update(process.identity for process in inside)

    def _freeze(self) -> Iterator[bool]:
        """Stop every process of the tree, until no new one turns up."""
        for _ in range(_FREEZE_ROUNDS):
            found = len(self._held)
            for process in self._members():
                if process.alive and process.identity not in self._held:
                    self._held[process.identity] = process.group
                    self._send(process.identity, signal.SIGSTOP)
                yield False
            if len(self._held) == found:
                return

    def _kill(self) -> Iterator[bool]:
        root = None if self._root == os.getpid() else self._root
        left = {identity for identity in self._held if identity not in self._hit}
        if left and root and send_to_group(root, signal.SIGKILL) is Sent.SENT:
            self._note_kill()
            # Counted now: who of them is reaped meanwhile is not found again.
            self._hit |= {identity for identity in left if self._held[identity] == root}
        for identity in left:
            if self._send(identity, signal.SIGKILL):
                self._note_kill()
                self._hit.add(identity)
            yield False

    def _note_kill(self) -> None:
        self.killed_at = self.killed_at or time.monotonic()

    def _send(self, identity: _Identity, number: signal.Signals) -> bool:
        sent = send(identity, number)
        if sent is Sent.DENIED and identity[0] not in self.denied:
            self.denied.add(identity[0])
            log.error("kill_denied", pid=identity[0], uid=_owner_of(identity[0]))
        return sent is Sent.SENT


def _who_adopts(root: int | None) -> int | None:
    """Whose children the tree's orphans become; None when they may be anywhere."""
    if root is None:
        return None
    if root == os.getpid():
        return os.getppid()
    return os.getpid() if kernel.is_subreaper() else None


def _owner_of(pid: int) -> int | None:
    with suppress(OSError):
        return Path(f"/proc/{pid}").stat().st_uid
    return None
