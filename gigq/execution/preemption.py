"""How often the kernel has taken the processor away from this thread."""

from __future__ import annotations

import resource


def count() -> int:
    """Return the number of involuntary context switches of the calling thread.

    The end of a time slice on a busy host is one, and so is the end of a quota. A thread that
    sleeps or waits gives the processor up by itself, which is not counted.
    """
    return resource.getrusage(resource.RUSAGE_THREAD).ru_nivcsw
