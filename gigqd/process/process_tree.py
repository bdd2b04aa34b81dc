"""Descendants of a process, safe against reused process ids.

The kernel lists children by id, and an id may be reused before the process is read. So a process
counts as a child only when it names the parent itself, and when the parent, read again after its
children, is still the same process. Start times have ticks of 10 ms: two reuses of an id within
one tick are not noticed.
"""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

from gigqd.linux import syscalls

if TYPE_CHECKING:
    from collections.abc import Iterator

    from gigqd.linux.syscalls import Process


def descendants(process: Process) -> Iterator[Process]:
    """Yield the descendants of a process, parents before their children.

    A process that another one adopts during the walk is left out: it is found below that one.

    Args:
        process: the process as it was read before; when it is gone it has no descendants.
    """
    above = [process]
    met = {process.identity}
    while above:
        for child in children(above.pop()):
            if child.identity not in met:
                met.add(child.identity)
                above.append(child)
                yield child


def children(parent: Process) -> list[Process]:
    """Return the children of a process; none when it is gone."""
    found = children_by_number(parent.pid)
    return found if _is_there(parent) else []


def children_by_number(parent: int) -> list[Process]:
    """Return the children of this process or of its parent, whose id cannot be reused."""
    found = []
    for pid in syscalls.children_of(parent):
        with suppress(ProcessLookupError):
            process = syscalls.read_process(pid)
            if process.parent == parent:
                found.append(process)
    return found


def _is_there(process: Process) -> bool:
    with suppress(ProcessLookupError):
        return syscalls.start_ticks(process.pid) == process.start_ticks
    return False
