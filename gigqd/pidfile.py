"""The pid file: a note for people and for `stop --force`, never a lock.

Line 1 is the process id, line 2 the start time in clock ticks since boot, which together name
one process for good; a process id alone is soon somebody else's. Line 2 is no bare number, so
that `kill $(cat gigqd.pid)` cannot take it for a second process id.
"""

from __future__ import annotations

import os
import stat
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

from gigqd import kernel

if TYPE_CHECKING:
    from pathlib import Path

_FILE_MODE = 0o640
_NEW_FILE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
_LONGEST_NOTE = 64
_LARGEST_PID = 2**22
_TICKS = "start_ticks="


@dataclass(frozen=True, slots=True)
class PidNote:
    """What a pid file says: a process id and, when it has a second line, the start ticks."""

    pid: int
    start_ticks: int | None

    def names_a_live_process(self) -> bool:
        """Whether the very process that is noted still lives."""
        return self.start_ticks is not None and ticks_of(self.pid) == self.start_ticks


def read(path: Path) -> PidNote | None:
    """What the pid file says; None when it is missing or says nothing sensible."""
    try:
        # Without O_NONBLOCK a FIFO in its place would hold the reader for ever.
        fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    except OSError:
        return None
    try:
        if not stat.S_ISREG(os.fstat(fd).st_mode):
            return None
        return _parse(os.read(fd, _LONGEST_NOTE))
    finally:
        os.close(fd)


def write(path: Path) -> None:
    """Note this process; readers see the old file or the whole new one.

    Raises:
        OSError: the file cannot be written; nothing is left of the try.
    """
    me = os.getpid()
    temporary = path.with_name(f".{path.name}.{me}")
    try:
        _write_durably(temporary, f"{me}\n{_TICKS}{kernel.start_ticks(me)}\n".encode())
        temporary.replace(path)
    except OSError:
        with suppress(OSError):  # the write is what failed, and is what the caller hears of
            temporary.unlink()
        raise


def remove_own(path: Path) -> None:
    """Remove the pid file if it is this process's."""
    note = read(path)
    if note is not None and note.pid == os.getpid():
        path.unlink(missing_ok=True)


def ticks_of(pid: int) -> int | None:
    """When a process started, in clock ticks since boot; None when there is no such process."""
    with suppress(ProcessLookupError):
        return kernel.start_ticks(pid)
    return None


def _parse(text: bytes) -> PidNote | None:
    first, _, second = text.decode(errors="replace").partition("\n")
    ticks = second.strip().removeprefix(_TICKS)
    if not (_is_number(first.strip()) and (not ticks or _is_number(ticks))):
        return None
    pid = int(first)
    return PidNote(pid, int(ticks) if ticks else None) if 0 < pid <= _LARGEST_PID else None


def _is_number(text: str) -> bool:
    return text.isascii() and text.isdigit()


def _write_durably(path: Path, text: bytes) -> None:
    with suppress(FileNotFoundError):  # of a start that was cut short, or none of ours
        path.unlink()
    fd = os.open(path, _NEW_FILE, _FILE_MODE)
    try:
        os.write(fd, text)
        os.fsync(fd)
    finally:
        os.close(fd)
