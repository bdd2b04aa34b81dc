"""A census: one look at all that runs below the supervisor, sorted by worker.

A worker's tree is the worker, what descends from it, what is in its session, and the orphans that
the supervisor has adopted and that carry the worker's mark. As orphans come to the supervisor
and not to init, everything is found by walking down from it; how many processes the host has
besides plays no part. In its own children that sit in no slot, and only in them, the mark is
looked for, once for each.

    census = Census()
    census.take({child.pid: child.tag for child in children})   # all children, the recorder as well
    tree = census.tree_of(child.pid)
    if memory_of(tree) > limit and proportional_memory(tree) > limit: ...
"""

from __future__ import annotations

import os
import time
from contextlib import suppress
from typing import TYPE_CHECKING

from gigqd.process.process_tag import tags_of
from gigqd.process.process_tree import children_by_number, descendants
from gigqd.process.tree_owners import TreeOwners

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from gigqd.linux.syscalls import Process
    from gigqd.process.process_tag import ProcessTags, Tag

Tree = tuple["Process", ...]


class ProcessTable:
    """Looks again and again at the processes below one process, and remembers who adopted ones are.

    A look costs about 15 µs for each process below the supervisor, and nothing for others.

    Args:
        top: the process whose children are looked at; this one when None.

    Attributes:
        took: how long the last look took, in seconds.
    """

    def __init__(self, top: int | None = None) -> None:
        self._top = os.getpid() if top is None else top
        self._trees: dict[int, list[Process]] = {}
        self._tags: dict[tuple[int, int], ProcessTags] = {}
        self._unidentified: list[Process] = []
        self.took = 0.0

    def take(self, workers: Mapping[int, Tag]) -> None:
        """Look at everything once.

        Args:
            workers: the children that sit in slots, by process id, with the tags given to them.
        """
        for _ in self.scan(workers):
            pass

    def scan(self, workers: Mapping[int, Tag]) -> Iterator[None]:
        """Look at everything once, in pieces of some microseconds; `take` without a pause.

        Args:
            workers: as for `take`.
        """
        began = time.perf_counter()
        trees: dict[int, list[Process]] = {pid: [] for pid in workers}
        known: dict[tuple[int, int], ProcessTags] = {}
        owners = TreeOwners(workers)
        for process in children_by_number(self._top):
            owner = process.pid
            if owner not in workers:
                owner = self._sort(process, owners, known)
            if owner in trees:
                yield from _add(trees[owner], process, is_top=owner == process.pid)
            yield
        self._trees, self._tags = trees, known
        self.took = time.perf_counter() - began

    def _sort(
        self, process: Process, owners: TreeOwners, known: dict[tuple[int, int], ProcessTags]
    ) -> int:
        """Return whose an adopted process is; 0 when it belongs to no worker."""
        new = process.identity not in self._tags
        tags = tags_of(process.pid) if new else self._tags[process.identity]
        known[process.identity] = tags
        owner = owners.by_session(process)
        if owner is None:
            owner = min(owners.by_tags(tags), default=None)
        if owner is None and new and process.alive and tags.tag is None and tags.rlimit_tag is None:
            self._unidentified.append(process)
        return owner or 0

    def tree_of(self, worker: int) -> Tree:
        """The processes of a worker's tree at the last look, itself first; empty when unknown."""
        return tuple(self._trees.get(worker, ()))

    def is_stopped(self, worker: int) -> bool:
        """Whether a signal or a debugger held a worker at the last look."""
        return any(each.stopped for each in self.tree_of(worker) if each.pid == worker)

    def unidentified(self) -> Tree:
        """Adopted processes without a mark, each told once.

        Whose they are cannot be told: a process of a job that has put down every mark, or
        somebody else's when the supervisor is the first process of a container.
        """
        told, self._unidentified = tuple(self._unidentified), []
        return told


def _add(tree: list[Process], process: Process, *, is_top: bool) -> Iterator[None]:
    if is_top:
        tree.insert(0, process)
    else:
        tree.append(process)
    for below in descendants(process):
        tree.append(below)
        yield


def memory_of(tree: Iterable[Process]) -> int:
    """What a tree has in memory at most, in bytes: pages that processes share count for each."""
    return sum(process.memory for process in tree)


def proportional_memory(tree: Iterable[Process]) -> int:
    """What a tree has in memory, in bytes, a page shared by n processes counted 1/n for each.

    It costs much more than `memory_of`, by the size of the memory (a millisecond for 300 MB is
    usual), so it is for confirming. For a process that may not be looked into, its RSS counts.
    """
    return sum(_proportional_memory(process) for process in tree if process.alive)


def cpu_of(tree: Iterable[Process]) -> float:
    """The CPU time in seconds that a tree, and what it has waited for, has used."""
    return sum(process.cpu for process in tree)


def _proportional_memory(process: Process) -> int:
    import psutil  # slow to import, and only for who is near a limit

    with suppress(psutil.NoSuchProcess):
        try:
            return int(psutil.Process(process.pid).memory_full_info().pss)
        except psutil.AccessDenied:
            return process.memory
    return 0
