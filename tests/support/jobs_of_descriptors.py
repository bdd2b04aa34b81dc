"""Jobs that close descriptors of their worker, and open files under the same numbers."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

from support.calls import noted

from gigqd.linux import syscalls

CONTENT = b"a file of the application"
_KEPT: list[int] = []


def close_all(ledger: str, job: str, folder: str, files: int, lowest: int = 3) -> None:
    """Close all descriptors from a number on, then open so many files with content."""
    with noted(ledger, job):
        for number in range(files):
            Path(folder, f"file{number}").write_bytes(CONTENT)
    os.closerange(lowest, 256)
    _KEPT.extend(os.open(f"{folder}/file{number}", os.O_RDWR) for number in range(files))


def close_file(ledger: str, job: str, path: str) -> None:
    """Close the descriptors of this process for one file."""
    with noted(ledger, job):
        sought = Path(path).stat()
    for number in syscalls.open_descriptors():
        with suppress(OSError):  # that of the listing
            if os.path.samestat(os.fstat(number), sought):
                os.close(number)
