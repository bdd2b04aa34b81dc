"""Kills of several process trees at once, all served by the same scan.

A scan goes through the supervisor's children once and passes each process to the kill of the worker
that it belongs to, which stops it before its children are listed. The cost grows with the number of
processes in the killed trees, not with the number of trees times that of children. A scan that
takes longer than one turn of the loop continues in the next; a kill joins at the start of a scan.
"""

from __future__ import annotations

import time
from contextlib import suppress
from typing import TYPE_CHECKING

from gigqd.linux import syscalls
from gigqd.process.kill_tree import adopter_of, killable
from gigqd.process.process_tag import tags_of
from gigqd.process.tree_owners import TreeOwners
from gigqd.time_slice import advance

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

    from gigqd.linux.syscalls import Process
    from gigqd.process.kill_tree import TreeKill
    from gigqd.process.process_tag import ProcessTags, Tag

    _Identity = tuple[int, int]

_TURN_SECONDS = 0.008
_PAUSE = 0.01
_STUCK_PAUSE = 1.0
STUCK_AFTER = 5.0


class _Kill:
    def __init__(self, treekill: TreeKill, tag: Tag) -> None:
        self.treekill = treekill
        self.tag = tag
        self.began = time.monotonic()
        self.due = 0.0


class ConcurrentKills:
    """The kills in progress, by the process id of the worker at the top of the tree."""

    def __init__(self) -> None:
        self._kills: dict[int, _Kill] = {}
        self._tags: dict[_Identity, ProcessTags] = {}
        self._met: dict[_Identity, set[int]] = {}
        self._joined = False
        self._workers: Collection[int] = ()
        self._scan: Iterator[None] | None = None

    def add(self, pid: int, treekill: TreeKill, tag: Tag) -> None:
        """Kill a worker's tree, from the next scan on."""
        self._kills[pid] = _Kill(treekill, tag)
        self._joined = True

    def remove(self, pid: int) -> None:
        """Forget a kill whose worker has been reaped."""
        for identity in self._kills.pop(pid).treekill.met:
            self._met[identity].discard(pid)
            if not self._met[identity]:
                del self._met[identity]

    def next_step(self, pid: int) -> float:
        """Return when a kill continues, in seconds of the monotonic clock."""
        return 0.0 if self._scan is not None else self._kills[pid].due

    def step(self, workers: Collection[int]) -> None:
        """Continue the kills that are due, for some milliseconds.

        Args:
            workers: every child of this process in a slot, whether it is being killed or not.
        """
        self._workers = workers
        now = time.monotonic()
        if self._scan is None:
            kills = self._kills.items()
            due = {pid: kill for pid, kill in kills if now >= kill.due and not kill.treekill.done}
            if not due:
                return
            self._scan = self._scan_for(due)
        scan, self._scan = self._scan, None  # after an error a new scan begins
        if not advance(scan, _TURN_SECONDS):
            self._scan = scan

    def _scan_for(self, kills: dict[int, _Kill]) -> Iterator[None]:
        """Scan once for all processes that belong to some kills; yield after each."""
        if self._joined:
            self._joined = False
            self._tags.clear()  # tags that an earlier kill could not read are read again
        for kill in kills.values():
            kill.treekill.begin_scan()
            yield
        owners = TreeOwners({pid: kill.tag for pid, kill in kills.items()})
        top = adopter_of(next(iter(kills)))
        pids = syscalls.all_pids() if top is None else syscalls.children_of(top)
        for pid in reversed(pids):
            with suppress(ProcessLookupError):
                head = syscalls.read_process(pid)
                if top in (None, head.parent):
                    yield from self._see(head, self._owners_of(head, owners) & kills.keys())
            yield
        for kill in kills.values():
            yield from kill.treekill.end_scan()
            pause = _PAUSE if time.monotonic() - kill.began < STUCK_AFTER else _STUCK_PAUSE
            kill.due = time.monotonic() + pause if kill.treekill.waits else 0.0

    def _owners_of(self, head: Process, owners: TreeOwners) -> set[int]:
        """Return the workers that a process belongs to."""
        if head.pid in self._workers:  # not reaped: the id is its own
            return {head.pid}
        session = owners.by_session(head)
        found = set() if session is None else {session}
        if head.identity not in self._tags:
            self._tags[head.identity] = tags_of(head.pid)
        found |= owners.by_tags(self._tags[head.identity])
        return found | self._met.get(head.identity, set())

    def _see(self, head: Process, owners: set[int]) -> Iterator[None]:
        """Pass a process and its descendants to the kills that it belongs to."""
        for process in killable(head) if owners else ():
            self._met.setdefault(process.identity, set()).update(owners)
            for pid in owners:
                self._kills[pid].treekill.see(process)
            yield
