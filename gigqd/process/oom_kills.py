"""Distinction between a SIGKILL of the kernel's out-of-memory killer and one of another process.

The kernel counts the processes that it kills for want of memory: for the host in /proc/vmstat, and
for the control group of the daemon. (A group of version 1 counts only its direct members, and the
host's count includes them.) It counts before the process is gone. So a worker was killed for want
of memory when the count has risen since its job began and no other death accounts for the rise.

The count of a control group (version 2) covers that group and those below it, so it alone decides
where there is one. Otherwise the host's count decides: then any out-of-memory kill on the host
during the job is taken for the cause of a SIGKILL that the supervisor has not sent.

    watch = OomWatch()
    earlier = watch.count()               # when a job begins
    ...
    if watch.happened_since(earlier): ... # when its worker died of a SIGKILL of another process
"""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

from gigqd.process import cgroups

_VMSTAT = Path("/proc/vmstat")


class OomWatch:
    """Counter of out-of-memory kills, each of which accounts for one death at most.

    Args:
        counter: the file with the count; that of the daemon's own control group if it has one,
            else the host's, when None.
    """

    def __init__(self, counter: Path | None = None) -> None:
        self._counter = counter or _own_counter()
        self._accounted = self.count()

    def count(self) -> int:
        """Return the number of processes killed for want of memory so far.

        Read it for `happened_since` when a job begins: a large process takes a while to disappear
        after it was counted.
        """
        with suppress(OSError, ValueError):
            for line in self._counter.read_text().splitlines():
                word, _, number = line.partition(" ")
                if word == "oom_kill":
                    return int(number)
        return 0

    def happened_since(self, earlier: int) -> bool:
        """Return True when a kill since an earlier count is not accounted for by another death.

        Call it once for each death by a SIGKILL that the supervisor has not sent: a kill that is
        found then accounts for this death.
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
