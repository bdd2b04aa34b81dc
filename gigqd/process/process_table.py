"""Table of all processes below the supervisor, sorted by worker.

A worker's tree is the worker, its descendants, the processes in its session, and the orphans that
the supervisor has adopted and that have the worker's tags. Orphans become children of the
supervisor and not of init, so a walk down from the supervisor finds all; other processes of the
host cost nothing. Tags are read once, and only of the supervisor's children that are in no slot.

    table = ProcessTable()
    table.take({child.pid: child.tag for child in children})   # all children, the recorder as well
    tree = table.tree_of(child.pid)
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
    """The processes below one process at the last scan, and the tags of adopted ones.

    A scan costs about 15 µs for each process below the supervisor, and nothing for others.

    Args:
        top: the process whose children are scanned; this one when None.

    Attributes:
        took: the duration of the last scan, in seconds.
    """

    def __init__(self, top: int | None = None) -> None:
        self._top = os.getpid() if top is None else top
        self._trees: dict[int, list[Process]] = {}
        self._tags: dict[tuple[int, int], ProcessTags] = {}
        self._unidentified: list[Process] = []
        self.took = 0.0

    def take(self, workers: Mapping[int, Tag]) -> None:
        """Scan all processes once.

        Args:
            workers: the children in slots, by process id, with the tags given to them.
        """
        for _ in self.scan(workers):
            pass

    def scan(self, workers: Mapping[int, Tag]) -> Iterator[None]:
        """Scan all processes once, and yield after each; `take` does it without a pause.

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
        """Return the worker to which an adopted process belongs; 0 for none."""
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
        """Return a worker's tree at the last scan, the worker first; empty when unknown."""
        return tuple(self._trees.get(worker, ()))

    def is_stopped(self, worker: int) -> bool:
        """Return True when a signal or a debugger had stopped a worker at the last scan."""
        return any(each.stopped for each in self.tree_of(worker) if each.pid == worker)

    def unidentified(self) -> Tree:
        """Return adopted processes without tags, each of them in one call only.

        Such a process was started by a job and has removed its tags, or it is none of a job's when
        the supervisor is the first process of a container.
        """
        new, self._unidentified = tuple(self._unidentified), []
        return new


def _add(tree: list[Process], process: Process, *, is_top: bool) -> Iterator[None]:
    if is_top:
        tree.insert(0, process)
    else:
        tree.append(process)
    for below in descendants(process):
        tree.append(below)
        yield


def memory_of(tree: Iterable[Process]) -> int:
    """Return the most memory of a tree, in bytes: shared pages count for each process."""
    return sum(process.memory for process in tree)


def proportional_memory(tree: Iterable[Process]) -> int:
    """Return the memory of a tree, in bytes; a page shared by n processes counts 1/n for each.

    It costs much more than `memory_of`, in proportion to the memory (often a millisecond for
    300 MB), so it confirms the result of that. For a process that may not be read, its RSS counts.
    """
    return sum(_proportional_memory(process) for process in tree if process.alive)


def cpu_of(tree: Iterable[Process]) -> float:
    """Return the CPU time of a tree and of its reaped children, in seconds."""
    return sum(process.cpu for process in tree)


def _proportional_memory(process: Process) -> int:
    import psutil  # slow to import; needed only near a memory limit

    with suppress(psutil.NoSuchProcess):
        try:
            return int(psutil.Process(process.pid).memory_full_info().pss)
        except psutil.AccessDenied:
            return process.memory
    return 0
