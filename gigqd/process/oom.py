"""Telling the kernel's out-of-memory killer from whoever else sends SIGKILL.

The kernel counts what it kills for want of memory: for the host in /proc/vmstat, and for the
control group that the daemon is in. (A group of version 1 counts only what is directly in it, and
the host's count has that as well.) It counts before the victim is gone, so a count that has
risen since the victim's job began, and that no other death accounts for, tells.

The count of a control group (version 2) covers the groups below it and nothing else, so where
there is one it alone decides. Otherwise the host's does: then a process killed for want of memory
anywhere on the host, in the time of the job, is taken for the reason of a SIGKILL from elsewhere.

    watch = OomWatch()
    mark = watch.look()                # when a job begins
    ...
    if watch.happened_since(mark): ... # when its worker has died of a SIGKILL that was not ours
"""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

from gigqd.process import cgroups

_VMSTAT = Path("/proc/vmstat")


class OomWatch:
    """Counts kills of the out-of-memory killer, and puts each down to one death at most.

    Args:
        counter: the file with the count; that of the daemon's own control group if it has one,
            else the host's, when None.
    """

    def __init__(self, counter: Path | None = None) -> None:
        self._counter = counter or _own_counter()
        self._accounted = self.count()

    def count(self) -> int:
        """How many processes have been killed for want of memory so far.

        A mark for `happened_since`, to be taken when a job begins and not shortly before its
        worker's death: a large process takes a while to go after it has been counted.
        """
        with suppress(OSError, ValueError):
            for line in self._counter.read_text().splitlines():
                word, _, number = line.partition(" ")
                if word == "oom_kill":
                    return int(number)
        return 0

    def happened_since(self, earlier: int) -> bool:
        """Whether there was such a kill since a mark that no other death has accounted for.

        Ask once for each death by a SIGKILL that was not ours: a yes is put down to it.
        """
        happened = self.count() > max(earlier, self._accounted)
        if happened:
            self._accounted = max(earlier, self._accounted) + 1
        return happened


def _own_counter() -> Path:
    unified = cgroups.own_folder()
    if unified is not None and (unified / "memory.events").exists():
        return unified / "memory.events"
    return _VMSTAT
