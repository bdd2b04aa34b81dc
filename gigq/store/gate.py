"""The gate before the write lock: whoever has waited longest writes next.

SQLite's lock is not handed over: who comes by while it is free gets it, so of two busy writers one
may get nothing for most of a second. This gate is a courtesy among the processes of gigq and
nothing more. Foreign writers do not know it, and whoever has waited for too long goes without it;
that transactions exclude each other rests on SQLite's lock alone.

The kernel keeps the queue, as record locks on one file: a byte for whoever writes, and for each
that waits a byte of its own, placed by the time at which it came. They are gone with their process
and are not inherited by the processes that a job forks, as those of flock(2) would be.
"""

from __future__ import annotations

import fcntl
import os
import struct
import sys
import threading
import time
from contextlib import suppress
from enum import Enum, auto
from pathlib import Path

from gigq.jitter import random_between
from gigq.store import private_files
from gigq.store.liveness import companion_path

_NAME = "gate"
_FLOCK = struct.Struct("@hhqqi")  # struct flock of fcntl(2) on Linux
_FREE = struct.pack("@h", fcntl.F_UNLCK)

# Bytes of the file: who writes, and from here on who waits.
_WRITER = 0
_LINE = 1 << 40

# Microseconds of the monotonic clock, which is one for all processes of a host.
_SECOND = 1_000_000
_BETWEEN_LOOKS = _SECOND
_PATIENCE = 100_000
_HEAD_START = 10_000
_TURN = 2_000


class _Turn(Enum):
    """How near the turn is."""

    MINE = auto()
    NEXT = auto()
    LATER = auto()


# The shortest pause between two looks, in microseconds, and by what the time waited so far is
# divided for a longer one. Who is next looks often, so that the gate does not stand empty. The
# others need not: of eight that wait, seven would keep a processor busy with looking.
_PAUSES = {_Turn.NEXT: (30, 100), _Turn.LATER: (1000, 10)}


class Gate:
    """One process's way through the gate of one database.

    1. Who writes holds the gate from before `BEGIN` until after `COMMIT`.
    2. Who comes later waits in line, in the order of coming; the urgent are let in as if they had
       come 10 ms earlier, and so nobody else waits for more than that because of them.
    3. Who has the gate may come back at once for 2 ms, unless somebody urgent waits, or anybody
       for more than 10 ms: a turn of short transactions costs one handing over.
    4. Who has waited for 100 ms goes without the gate for a second: its holder may be stopped, or
       its transaction is a long one.

    Args:
        path: the database file.
    """

    def __init__(self, path: str) -> None:
        self._path = str(companion_path(path) / _NAME)
        self._descriptor = -1
        self._mine = threading.Lock()  # record locks do not part the threads of a process
        self._turn_began = 0
        self._look_at = 0
        self._shut_until = 0

    def enter(self, *, urgent: bool) -> bool:
        """Wait for the turn to write, for a tenth of a second at most.

        Args:
            urgent: whether somebody waits for this transaction.

        Returns:
            Whether the gate is held, and is to be left again. Go on in any case.
        """
        now = _now()
        if now < self._shut_until or not self._mine.acquire(timeout=_PATIENCE / _SECOND):
            return False
        held = False
        try:
            if now >= self._look_at:
                self._look(now)
            held = self._descriptor >= 0 and self._pass(now, urgent=urgent)
        except OSError:
            self._shut_until = now + _SECOND  # no such locks on this file system, or none left
        finally:
            if not held:
                self.leave()
        return held

    def leave(self) -> None:
        """Let the next one write."""
        try:
            if self._descriptor >= 0:
                fcntl.lockf(self._descriptor, fcntl.LOCK_UN, 1, _WRITER)
        finally:
            self._mine.release()

    def _pass(self, now: int, *, urgent: bool) -> bool:
        in_turn = now - self._turn_began < _TURN
        early = now - _HEAD_START
        if self._try(early if urgent or in_turn else now) is _Turn.MINE:
            self._turn_began = self._turn_began if in_turn else now
            return True
        held = self._wait_in_line(early if urgent else now, now)
        self._turn_began = _now()
        return held

    def _wait_in_line(self, place: int, began: int) -> bool:
        fcntl.lockf(self._descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB, 1, _LINE + place)
        turn = _Turn.NEXT
        try:
            while (waited := _now() - began) < _PATIENCE:
                shortest, divisor = _PAUSES[turn]
                pause = max(shortest, waited // divisor) / _SECOND
                time.sleep(random_between(pause, 3 * pause))
                turn = self._try(place)
                if turn is _Turn.MINE:
                    return True
        finally:
            fcntl.lockf(self._descriptor, fcntl.LOCK_UN, 1, _LINE + place)
        self._shut_until = _now() + _SECOND
        return False

    def _try(self, place: int) -> _Turn:
        """Take the gate, if nobody stands before a place and nobody writes."""
        before = _FLOCK.pack(fcntl.F_WRLCK, os.SEEK_SET, 1, _LINE + place - 1, 0)
        if fcntl.fcntl(self._descriptor, fcntl.F_GETLK, before)[: len(_FREE)] != _FREE:
            return _Turn.LATER
        try:
            fcntl.lockf(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB, 1, _WRITER)
        except (BlockingIOError, PermissionError):
            return _Turn.NEXT
        return _Turn.MINE

    def _look(self, now: int) -> None:
        """Open the file that lies at the path, once a second: it may be new, or another one."""
        self._look_at = now + _BETWEEN_LOOKS
        known, self._descriptor = self._descriptor, -1
        # Before the first worker there is no folder, and without rights there is no gate.
        with suppress(OSError):
            if known >= 0 and _lies_at(self._path, known):
                self._descriptor, known = known, -1
            elif sys.platform == "linux":
                self._descriptor = _opened(Path(self._path))
        if known >= 0:
            os.close(known)


def gate_of(path: str) -> Gate:
    """This process's gate of the database at an absolute path.

    Record locks belong to the process, and closing one descriptor of a file frees all of them, so
    there is one gate a file.
    """
    gate = _gates.get(path)
    if gate is None:
        gate = _gates.setdefault(path, Gate(path))
    return gate


_gates: dict[str, Gate] = {}
# A forked child holds nothing, and a thread that it does not have may have been inside.
os.register_at_fork(after_in_child=_gates.clear)


def _lies_at(path: str, descriptor: int) -> bool:
    with suppress(FileNotFoundError):
        return os.path.samestat(os.stat(path), os.fstat(descriptor))  # noqa: PTH116
    return False


def _opened(path: Path) -> int:
    path.parent.lstat()  # a folder that is missing is made by the first worker
    private_files.make_folder(path.parent)
    return private_files.open_file(path)


def _now() -> int:
    return time.monotonic_ns() // 1000
