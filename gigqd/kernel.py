"""The few calls to the Linux kernel that the standard library does not offer."""

from __future__ import annotations

import ctypes
import os
import signal
from dataclasses import dataclass
from pathlib import Path

from gigqd import exits

# Numbers of prctl(2), from <linux/prctl.h>.
_PR_SET_PDEATHSIG = 1
_PR_SET_NAME = 15
_PR_SET_CHILD_SUBREAPER = 36

# Fields of /proc/<pid>/stat counted behind the command's closing bracket; see proc(5).
_STAT_STATE = 0
_STAT_PPID = 1
_STAT_SESSION = 3
_STAT_START_TICKS = 19
_STAT_ENV_START = 47
_STAT_ENV_END = 48

_libc = ctypes.CDLL(None, use_errno=True)


def become_subreaper() -> None:
    """Let orphans below this process become its children instead of init's."""
    _prctl(_PR_SET_CHILD_SUBREAPER, 1)


def die_with_parent(parent: int) -> None:
    """Ask the kernel to SIGKILL this process when its parent dies; leave if it already has.

    Must be called after any change of user, which clears the request.

    Args:
        parent: the process id that the parent had when it forked.
    """
    _prctl(_PR_SET_PDEATHSIG, int(signal.SIGKILL))
    if os.getppid() != parent:
        os._exit(exits.WORKER_PARENT_GONE)


def name_process(name: str) -> None:
    """Set the name that `ps` and `top` show; the kernel keeps the first 15 bytes."""
    _prctl(_PR_SET_NAME, ctypes.c_char_p(name.encode()))


def _prctl(option: int, value: int | ctypes.c_char_p) -> None:
    if _libc.prctl(option, value, 0, 0, 0) != 0:
        number = ctypes.get_errno()
        raise OSError(number, f"prctl({option}): {os.strerror(number)}")


def stat_fields(pid: int | str) -> list[str]:
    """The fields of /proc/<pid>/stat behind the command name.

    Raises:
        ProcessLookupError: there is no such process.
    """
    try:
        text = Path(f"/proc/{pid}/stat").read_text(errors="replace")
    except (FileNotFoundError, ProcessLookupError):
        raise ProcessLookupError(pid) from None
    return text.rpartition(")")[2].split()


def start_ticks(pid: int) -> int:
    """When a process started, in clock ticks since boot: with its id, its identity."""
    return int(stat_fields(pid)[_STAT_START_TICKS])


@dataclass(frozen=True, slots=True)
class Glance:
    """What one look at a process tells: whether it runs, its session, when it started."""

    alive: bool
    session: int
    start_ticks: int


def glance(pid: int) -> Glance:
    """Look at a process once.

    Raises:
        ProcessLookupError: there is no such process.
    """
    fields = stat_fields(pid)
    return Glance(
        alive=fields[_STAT_STATE] not in ("Z", "X"),
        session=int(fields[_STAT_SESSION]),
        start_ticks=int(fields[_STAT_START_TICKS]),
    )


def own_children() -> list[int]:
    """The process ids of this process's children, adopted ones and zombies included."""
    listing = Path(f"/proc/self/task/{os.getpid()}/children")
    try:
        return [int(pid) for pid in listing.read_text().split()]
    except FileNotFoundError:  # a kernel built without CONFIG_PROC_CHILDREN
        return [pid for pid in all_pids() if _parent(pid) == os.getpid()]


def all_pids() -> list[int]:
    """Every process id that /proc shows."""
    return [int(name) for name in os.listdir("/proc") if name.isdigit()]  # noqa: PTH208 - hot


def _parent(pid: int) -> int:
    try:
        return int(stat_fields(pid)[_STAT_PPID])
    except ProcessLookupError:
        return 0


def rewrite_environment_block(text: bytes) -> bool:
    """Replace what /proc/<this process>/environ shows, so that forked children inherit it.

    Setting a variable only changes the process's own list; the block that the kernel shows is
    the one laid down at exec. Children that never exec would carry no mark of their own, so the
    block is overwritten in place. Every variable is first set once more, which moves it to
    memory of its own: nothing in this process reads the old block afterwards.

    Args:
        text: what to show, without its closing zero byte.

    Returns:
        False when the block is too small to hold the text; nothing is changed then.
    """
    start, end = _environment_block()
    if end - start <= len(text):
        return False
    for name, value in os.environb.items():
        os.putenv(name, value)
    ctypes.memset(start, 0, end - start)
    ctypes.memmove(start, text, len(text))
    return True


def environment_room() -> int:
    """How many bytes `rewrite_environment_block` can use in this process."""
    start, end = _environment_block()
    return end - start


def _environment_block() -> tuple[int, int]:
    fields = stat_fields("self")
    return int(fields[_STAT_ENV_START]), int(fields[_STAT_ENV_END])
