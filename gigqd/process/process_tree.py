"""The processes below a process, without taking another one for a child whose number it got.

A list of children holds numbers, and a number may be given away again before it is looked at. So a
process counts as a child only when it names its parent itself, and when that parent, looked at
again after its children, is still the process that was listed. The kernel gives start times in
ticks of 10 ms: a number that is given away twice within one tick is not noticed.
"""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

from gigqd.linux import syscalls

if TYPE_CHECKING:
    from collections.abc import Iterator

    from gigqd.linux.syscalls import Process


def descendants(process: Process) -> Iterator[Process]:
    """Yield everything below a process, parents before their children.

    What is adopted by another process during the look is left out: it is found below that one.

    Args:
        process: the process as it was seen before; when it is gone nothing is below it.
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
    """Look at the children of a process; none when it is gone."""
    found = children_by_number(parent.pid)
    return found if _is_there(parent) else []


def children_by_number(parent: int) -> list[Process]:
    """Look at the children of this process or of its parent, whose number cannot be given away."""
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
