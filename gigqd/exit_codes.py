"""Exit codes of the daemon, its commands and its workers.

The daemon's codes follow sysexits(3), except for a wrong command line; the codes of `gigqd status`
follow the Linux Standard Base for init scripts. Only the supervisor reads the codes of workers,
which differ from both.
"""

import errno
from typing import Final

OK: Final = 0
"""Success. For the daemon: it was stopped, and all its processes have ended."""

FAILED: Final = 1
"""A command did not succeed in time: `stop`, `start --wait`, `reload --timeout`."""

USAGE: Final = 2
"""The command line is wrong, as for `gigq`."""

DATABASE_UNAVAILABLE: Final = 69
"""The database cannot be used: its folder is missing, or a file that had a queue; it is damaged,
not a database, or locked for longer than `daemon.start_timeout`; or the disk is full."""

INTERNAL_ERROR: Final = 70
"""A defect of gigqd, or no worker could boot for a reason other than 76."""

CANNOT_FORK: Final = 71
"""No process could be forked, or the limit of open files is too low for the workers."""

BAD_INSTALLATION: Final = 72
"""This is not Linux, a package that gigqd needs is missing, or files of gigqd are missing or were
replaced by another distribution."""

CANNOT_CREATE: Final = 73
"""The runtime directory, lock, pid file, control socket or log file could not be created."""

OUTPUT_FAILED: Final = 74
"""The answer could not be written to standard output."""

ALREADY_RUNNING: Final = 75
"""This daemon runs already, another daemon with this name serves the same database, or another
daemon uses the same runtime directory."""

CANNOT_IMPORT: Final = 76
"""The application cannot be imported or set up: `code.imports`, `code.hooks` or `worker_start`."""

NOT_PERMITTED: Final = 77
"""This account may not change to the configured account, write a file, or use this daemon."""

BAD_CONFIG: Final = 78
"""The configuration is invalid; or the database has a newer schema, belongs to another program, or
is on a file system that SQLite cannot lock."""

LEFT_BEHIND: Final = 79
"""The daemon was stopped, but a process could not be killed; the log names it."""

INTERRUPTED: Final = 130
"""Interrupted by SIGINT."""

BROKEN_PIPE: Final = 141
"""The reader of the command's output closed the pipe."""

STATUS_RUNNING: Final = 0
"""`gigqd status`: running, degraded, paused or stopping."""

STATUS_STALE: Final = 1
"""`gigqd status`: not running, but a pid file is left."""

STATUS_STOPPED: Final = 3
"""`gigqd status`: not running."""

STATUS_UNKNOWN: Final = 4
"""The daemon runs and does not answer. `gigqd status`: also unknown, because the runtime files or
the configuration cannot be read, or another daemon uses the runtime directory."""

NOT_RUNNING: Final = 7
"""The command needs a running daemon, and none runs."""

WORKER_DONE: Final = 0
"""Drained or recycled: the worker settled its last job and exited."""

WORKER_BOOT_FAILED: Final = 80
"""The worker could not boot; the log and `gigqd status` have the cause."""

WORKER_RESIDUE: Final = 83
"""A job left state that cannot be restored, or closed descriptors of its worker."""

WORKER_PARENT_GONE: Final = 85
"""The supervisor had ended."""


def for_database(error: OSError) -> int:
    """Return the code for an error of the operating system at the database."""
    if error.errno in (errno.EMFILE, errno.ENFILE):
        return CANNOT_FORK
    return NOT_PERMITTED if isinstance(error, PermissionError) else DATABASE_UNAVAILABLE
