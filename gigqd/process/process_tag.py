"""The marks of a worker's process and everything below it: a tag and a stamp.

A tag names the daemon's run, the slot and the generation. It travels in the environment, so a
process is recognised even when it has left its session, its group and its parents.

A process may also empty its environment and execute something. So a number made from the tag, the
stamp, is set as a resource limit that has had no effect since Linux 2.4: it too passes to every
child, through any exec, and everybody may read it. Only who sets this very limit puts it down.
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
_RLIMIT_TAG = 1 << 61
_HOME_BITS, _RUN_BITS, _GENERATION_BITS = 32, 14, 15


class Tag(NamedTuple):
    """Whose process this is.

    Attributes:
        home: stands for the database; daemons of other databases are none of our business.
        run: the daemon's run.
        slot: the slot's name.
        generation: which of the run's children it is.
    """

    home: str
    run: str
    slot: str
    generation: int

    def __str__(self) -> str:
        return f"{self.home}|{self.run}|{self.slot}|{self.generation}"

    @property
    def rlimit_tag(self) -> int:
        """The number that stands for it."""
        home = _digest(self.home, _HOME_BITS) << (_RUN_BITS + _GENERATION_BITS)
        run = _digest(self.run, _RUN_BITS) << _GENERATION_BITS
        return _RLIMIT_TAG | home | run | self.generation % (1 << _GENERATION_BITS)

    def matches(self, tags: ProcessTags) -> bool:
        """Whether a mark is this one's."""
        return tags.tag == self or tags.rlimit_tag == self.rlimit_tag

    @classmethod
    def parse(cls, text: str) -> Tag | None:
        """The tag in a text, or None when the text is not one."""
        match text.split("|"):
            case [home, run, slot, generation] if generation.isdigit():
                return cls(home, run, slot, int(generation))
        return None


class ProcessTags(NamedTuple):
    """What of its origin a process carries; either may have been put down."""

    tag: Tag | None
    rlimit_tag: int | None


def home_of(database: str) -> str:
    """What stands for a database in tags: short, so that it fits a small environment."""
    return digest(os.path.realpath(database), 6).hex()


def make_room() -> None:
    """See to it that this process's environment has room for the tags of what it forks.

    The room is laid down at exec, and cron or `env -i` give hardly any: then this program is
    executed once more, as the same process, with a variable that takes some.
    """
    filled = os.environ.pop(_FILLER, None)
    if filled is None and syscalls.environment_room() < _ROOM:
        roomy = {**os.environ, _FILLER: "-" * _ROOM}
        again = [sys.executable, *sys.orig_argv[1:]]
        os.execve(sys.executable, again, roomy)  # noqa: S606 - itself, as it was called


def tag_this_process(tag: Tag) -> None:
    """Put tag and stamp where this process's children inherit them: exec'd ones and forked ones."""
    os.environ[VARIABLE] = str(tag)
    syscalls.rewrite_environment_block(_PREFIX + str(tag).encode())
    with suppress(ValueError, OSError):  # somebody has set this limit lower: then there is no stamp
        resource.setrlimit(_RLIMIT_LOCKS, (tag.rlimit_tag, tag.rlimit_tag))


def tags_of(pid: int) -> ProcessTags:
    """What a process carries; the stamp can be read of a dead one, too."""
    return ProcessTags(tag_of(pid), rlimit_tag_of(pid))


def tag_of(pid: int) -> Tag | None:
    """The tag that a process carries; None when it has none, is gone, or is not ours to read.

    Raises:
        OSError: no further file can be opened.
    """
    block = _read(f"/proc/{pid}/environ")
    for entry in block.split(b"\0"):
        if entry.startswith(_PREFIX):
            return Tag.parse(entry.removeprefix(_PREFIX).decode(errors="replace"))
    return None


def rlimit_tag_of(pid: int) -> int | None:
    """The stamp that a process carries; None when it has none or is gone.

    Raises:
        OSError: no further file can be opened.
    """
    limits = _read(f"/proc/{pid}/limits")
    for line in limits.splitlines():
        if line.startswith(_LIMIT_NAME):
            hard = line.removeprefix(_LIMIT_NAME).split()[1]
            return int(hard) if hard.isdigit() and int(hard) & _RLIMIT_TAG else None
    return None


def _read(path: str) -> bytes:
    """Return a file of /proc; empty when the process is gone or may not be read.

    A process that could not be looked at for want of a descriptor is not one without a mark.
    """
    try:
        return Path(path).read_bytes()
    except OSError as error:
        if is_out_of_files(error):
            raise
        return b""


def is_of_run(rlimit_tag: int, run: str) -> bool:
    """Whether a stamp was made from a tag of this run, or of one in 16,384 others."""
    return rlimit_tag >> _GENERATION_BITS & (1 << _RUN_BITS) - 1 == _digest(run, _RUN_BITS)


def is_of_home(rlimit_tag: int, home: str) -> bool:
    """Whether a stamp was made from a tag of this database."""
    found = rlimit_tag >> (_RUN_BITS + _GENERATION_BITS) & (1 << _HOME_BITS) - 1
    return found == _digest(home, _HOME_BITS)


def _digest(text: str, bits: int) -> int:
    return int.from_bytes(digest(text, 8), "big") >> (64 - bits)
