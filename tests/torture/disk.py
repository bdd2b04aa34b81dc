"""A small disk of its own for the database, which can be filled and freed."""

from __future__ import annotations

import ctypes
import os
import subprocess
from contextlib import suppress
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

_CLONE_NEWNS = 0x00020000
_LEAST = 96 * 1024 * 1024
_PER_SECOND = 512 * 1024


class Disk:
    """The directory of the database; as root a tmpfs, which no other program sees and which goes
    away with the last process that sees it.

    Attributes:
        path: the directory.
        small: whether it can be filled.
    """

    def __init__(self, path: Path, duration: float) -> None:
        self.path = path
        path.mkdir()
        self.small = os.geteuid() == 0 and _mount(path, _LEAST + int(duration * _PER_SECOND))
        self._ballast = path / "ballast"

    def fill(self) -> None:
        """Take every byte that is left."""
        descriptor = os.open(self._ballast, os.O_WRONLY | os.O_CREAT, 0o600)
        try:
            # Others write at the same time, so what was free a moment ago may not be.
            free = self._free()
            while free:
                with suppress(OSError):
                    os.posix_fallocate(descriptor, os.fstat(descriptor).st_size, free)
                free = min(free // 2, self._free())
        finally:
            os.close(descriptor)

    def free(self) -> None:
        """Give it all back."""
        self._ballast.unlink(missing_ok=True)

    def _free(self) -> int:
        space = os.statvfs(self.path)
        return space.f_bavail * space.f_bsize


def _mount(path: Path, size: int) -> bool:
    """Mount a tmpfs in a namespace of this process's own; False where that is not allowed."""
    if ctypes.CDLL(None).unshare(_CLONE_NEWNS) != 0:
        return False
    commands = (
        ["mount", "--make-rprivate", "/"],
        ["mount", "-t", "tmpfs", "-o", f"size={size},mode=700", "gigq-torture", str(path)],
    )
    return all(
        subprocess.run(c, capture_output=True, check=False).returncode == 0 for c in commands
    )
