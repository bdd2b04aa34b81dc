"""Blocked signals and an ignored SIGCHLD, which a program passes on to those that it starts."""

from __future__ import annotations

import signal


def restore_signals() -> None:
    """Unblock all signals, and stop ignoring SIGCHLD.

    A blocked signal never reaches its handler, so a process could not be asked to stop. While
    SIGCHLD is ignored the kernel keeps no exit codes, and `subprocess` takes a command that has
    failed for one that has succeeded.
    """
    signal.pthread_sigmask(signal.SIG_SETMASK, ())
    if signal.getsignal(signal.SIGCHLD) is signal.SIG_IGN:
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
