"""Priorities for systemd's journal, as sd-daemon(3) has them: `<3>` before a line is an error."""

from __future__ import annotations

import os

_PRIORITIES = {"debug": 7, "info": 6, "warning": 4, "error": 3, "critical": 2}


def leads_to_journal(fd: int) -> bool:
    """Return True when a descriptor is the stream that systemd has connected to its journal."""
    try:
        status = os.fstat(fd)
    except OSError:
        return False
    return os.environ.get("JOURNAL_STREAM") == f"{status.st_dev}:{status.st_ino}"


def with_priority(text: str, level: str) -> str:
    """Put the priority of a level before each line of a text."""
    mark = f"<{_PRIORITIES.get(level, 6)}>"
    return mark + text.replace("\n", f"\n{mark}")
