"""The user and group ids of a worker that runs as root, which a job may change."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    Ids = tuple[int, ...]

NAMES = ("the effective user id", "the effective group id")


def reader() -> Callable[[], Ids]:
    """Return a function that reads the ids; for an ordinary account one without a system call."""
    return _read if os.geteuid() == 0 else tuple


def restore(normal: Ids) -> None:
    """Restore both effective ids; the kernel refuses it after `os.setuid`."""
    user, group = normal
    os.seteuid(user)  # first: only root may change the group
    os.setegid(group)


def _read() -> Ids:
    return os.geteuid(), os.getegid()
