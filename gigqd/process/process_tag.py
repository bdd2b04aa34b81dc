"""The process tags of a worker and of all its descendants: an environment tag and an rlimit tag.

The environment tag names the daemon's run, the slot and the generation. Children inherit it, so a
process is recognised even when it has left its session, its group and its parents.

A process may also empty its environment and execute a program. So a number made from the tag, the
rlimit tag, is set as a resource limit that has had no effect since Linux 2.4. Every child inherits
it through any exec, every account may read it, and only setting this very limit removes it.
"""

from __future__ import annotations

import os
import resource
import sys
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from gigq.model.digest import digest
from gigqd.errors import is_out_of_files
from gigqd.linux import syscalls

VARIABLE = "GIGQD_WORKER"
_PREFIX = f"{VARIABLE}=".encode()
_ROOM = 512
_FILLER = "GIGQD_FILLER"

_RLIMIT_LOCKS = 10  # <asm-generic/resource.h>; Python's module has no name for it
_LIMIT_NAME = b"Max file locks"
_IS_RLIMIT_TAG = 1 << 61
_HOME_BITS, _RUN_BITS, _GENERATION_BITS = 32, 14, 15


class Tag(NamedTuple):
    """The environment tag of a child and its descendants.

    Attributes:
        home: an id of the database, which distinguishes daemons of other databases.
        run: the daemon's run.
        slot: the slot's name.
        generation: the number of the child in its run.
    """

    home: str
    run: str
    slot: str
    generation: int

    def __str__(self) -> str:
        return f"{self.home}|{self.run}|{self.slot}|{self.generation}"

    @property
    def rlimit_tag(self) -> int:
        """The rlimit tag that belongs to it."""
        home = _digest(self.home, _HOME_BITS) << (_RUN_BITS + _GENERATION_BITS)
        run = _digest(self.run, _RUN_BITS) << _GENERATION_BITS
        return _IS_RLIMIT_TAG | home | run | self.generation % (1 << _GENERATION_BITS)

    def matches(self, tags: ProcessTags) -> bool:
        """Return True when one of a process's tags is this one's."""
        return tags.tag == self or tags.rlimit_tag == self.rlimit_tag

    @classmethod
    def parse(cls, text: str) -> Tag | None:
        """Return the tag in a text, or None when the text is not one."""
        match text.split("|"):
            case [home, run, slot, generation] if generation.isdigit():
                return cls(home, run, slot, int(generation))
        return None


class ProcessTags(NamedTuple):
    """The two tags of a process; it may have removed either."""

    tag: Tag | None
    rlimit_tag: int | None


def home_of(database: str | Path) -> str:
    """Return the id of a database in tags, which is short to fit a small environment."""
    return digest(os.path.realpath(database), 6).hex()


def home_with(lock_file: str) -> str:
    """Return the id in tags of a daemon on PostgreSQL: from the id of its lock file.

    A database has many addresses, and the daemons of one host have different lock files. A run
    names its lock file, so that every daemon finds the processes of a dead run.
    """
    return digest(lock_file, 6).hex()


def make_room() -> None:
    """Make sure that the environment block of this process has room for a child's tag.

    The size of the block is fixed at exec, and cron or `env -i` give hardly any. Then this program
    executes itself again, in the same process, with a variable that enlarges the block. Without
    /proc no daemon starts, and other commands need no room.
    """
    filled = os.environ.pop(_FILLER, None)
    if filled is None and syscalls.has_proc() and syscalls.environment_room() < _ROOM:
        roomy = {**os.environ, _FILLER: "-" * _ROOM}
        again = [sys.executable, *sys.orig_argv[1:]]
        os.execve(sys.executable, again, roomy)  # noqa: S606 - itself, as it was called


def tag_this_process(tag: Tag) -> None:
    """Set both tags so that children inherit them, after a fork and after an exec."""
    os.environ[VARIABLE] = str(tag)
    syscalls.rewrite_environment_block(_PREFIX + str(tag).encode())
    with suppress(ValueError, OSError):  # the limit was lowered before: no rlimit tag
        resource.setrlimit(_RLIMIT_LOCKS, (tag.rlimit_tag, tag.rlimit_tag))


def tags_of(pid: int) -> ProcessTags:
    """Return the tags of a process; the rlimit tag also of a zombie."""
    return ProcessTags(tag_of(pid), rlimit_tag_of(pid))


def tag_of(pid: int) -> Tag | None:
    """Return the environment tag of a process; None without one, or when it cannot be read.

    Raises:
        OSError: no further file can be opened.
    """
    block = _read(f"/proc/{pid}/environ")
    if _PREFIX not in block:  # nearly always: all processes of the host are read
        return None
    for entry in block.split(b"\0"):
        if entry.startswith(_PREFIX):
            return Tag.parse(entry.removeprefix(_PREFIX).decode(errors="replace"))
    return None


def rlimit_tag_of(pid: int) -> int | None:
    """Return the rlimit tag of a process; None when it has none or is gone.

    Raises:
        OSError: no further file can be opened.
    """
    limits = _read(f"/proc/{pid}/limits")
    for line in limits.splitlines():
        if line.startswith(_LIMIT_NAME):
            hard = line.removeprefix(_LIMIT_NAME).split()[1]
            return int(hard) if hard.isdigit() and int(hard) & _IS_RLIMIT_TAG else None
    return None


def _read(path: str) -> bytes:
    """Return a file of /proc; empty when the process is gone or may not be read.

    Without a free descriptor it raises, because an unread process is not one without tags.
    """
    try:
        return Path(path).read_bytes()
    except OSError as error:
        if is_out_of_files(error):
            raise
        return b""


def is_of_run(rlimit_tag: int, run: str) -> bool:
    """Return True for an rlimit tag of this run, and of one in 16,384 other runs."""
    return rlimit_tag >> _GENERATION_BITS & (1 << _RUN_BITS) - 1 == _digest(run, _RUN_BITS)


def is_of_home(rlimit_tag: int, home: str) -> bool:
    """Return True for an rlimit tag of this database."""
    found = rlimit_tag >> (_RUN_BITS + _GENERATION_BITS) & (1 << _HOME_BITS) - 1
    return found == _digest(home, _HOME_BITS)


def _digest(text: str, bits: int) -> int:
    return int.from_bytes(digest(text, 8), "big") >> (64 - bits)
