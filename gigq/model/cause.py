"""The causes of an end without success."""

from __future__ import annotations

from enum import StrEnum


class Cause(StrEnum):
    """Cause of an attempt that ended without success; its value is stored."""

    ERROR = "error"
    TIMEOUT = "timeout"
    CRASHED = "crashed"
    MEMORY = "memory"
    OOM = "oom"
    CANCELLED = "cancelled"
    STOPPED = "stopped"
    LOST = "lost"
    BOOT = "boot"
    PARENT = "parent"
    SNOOZED = "snoozed"
    EXPIRED = "expired"
