"""A signal to the one thread in which Python runs signal handlers."""

from __future__ import annotations

import ctypes
import os

_libc = ctypes.CDLL(None, use_errno=True)


def signal_main_thread(pid: int, number: int) -> None:
    """Signal the main thread of a process; tgkill(2).

    A signal to the process may be taken by another thread, and then interrupts nothing that the
    main thread waits for. Where the C library lacks the call, the process is signalled.

    Raises:
        OSError: the signal was not sent; `ProcessLookupError` when there is no such thread.
    """
    tgkill = getattr(_libc, "tgkill", None)
    if tgkill is None:
        os.kill(pid, number)
    elif tgkill(pid, pid, int(number)) != 0:
        code = ctypes.get_errno()
        raise OSError(code, f"tgkill({pid}): {os.strerror(code)}")
