"""The account of a worker that runs as root: a job may change it, for a moment or for good."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    Ids = tuple[int, ...]

NAMES = ("the effective user id", "the effective group id")


def reader() -> Callable[[], Ids]:
    """Return what reads the ids; for an ordinary account, which keeps its own, no system call."""
    return _read if os.geteuid() == 0 else tuple


def put_back(normal: Ids) -> None:
    """Set both ids to what they were; the kernel refuses it after `os.setuid`."""
    user, group = normal
    os.seteuid(user)  # first: another user may not change the group
    os.setegid(group)


def _read() -> Ids:
    return os.geteuid(), os.getegid()
