"""The exit codes of the `gigq` command. docs/cli.md lists them for users.

0, 1 and 2 are those of GigQ 0.5.1; the others follow sysexits.h and the shell's 128 + signal.
"""

from __future__ import annotations

OK = 0
NEGATIVE = 1
"""The command worked and its answer is negative: unknown job, nothing changed, job refused."""
USAGE = 2
UNAVAILABLE = 69
"""The database is missing, locked, damaged, or not a queue."""
INTERNAL = 70
BAD_INSTALLATION = 72
"""Files of gigqd are missing, or another distribution has replaced them."""
OUTPUT = 74
"""The answer could not be written."""
NO_PERMISSION = 77
INTERRUPTED = 130
BROKEN_PIPE = 141
