"""The exit codes of the `gigq` command.

0, 1 and 2 are those of GigQ 0.5.1; the others follow sysexits.h and the shell's 128 + signal.
"""

from __future__ import annotations

OK = 0
"""Success."""

NEGATIVE = 1
"""The answer is negative: there is no such job or function, nothing was changed, a job or a backup
was refused, or `gigq doctor` found a problem."""

USAGE = 2
"""The command line is wrong, or the command is for the other kind of database."""

UNAVAILABLE = 69
"""The database cannot be used: it is missing, locked, damaged, of a newer version, or no queue; its
server cannot be reached or is read-only."""

INTERNAL = 70
"""A defect of gigq; please report it with the output of `--debug`."""

BAD_INSTALLATION = 72
"""Files of gigqd are missing, or another distribution has replaced them."""

OUTPUT = 74
"""The answer or the backup could not be written, for example because the disk is full."""

LEASE_NOT_RENEWED = 75
"""`gigq worker`: it ran a job and could not renew its lease, since the server could not be reached;
other hosts run the job again."""

NO_PERMISSION = 77
"""This account, or its role on the server, may not use the database; or this account may not use
the folder of the backup, or the daemon."""

INTERRUPTED = 130
"""Interrupted by SIGINT."""

BROKEN_PIPE = 141
"""The reader of the command's output closed the pipe, as in `gigq list | head -1`."""
