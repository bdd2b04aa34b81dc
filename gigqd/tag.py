"""The tag that marks a worker's process and everything below it.

A tag names the daemon's run, the slot and the generation. It travels in the environment, so a
process is recognised even when it has left its session, its group and its parents.
"""

from __future__ import annotations

import hashlib
import os
import sys
from dataclasses import dataclass
from pathlib import Path

from gigqd import kernel

VARIABLE = "GIGQD_WORKER"
_PREFIX = f"{VARIABLE}=".encode()
_ROOM = 512
_FILLER = "GIGQD_FILLER"


@dataclass(frozen=True, slots=True)
class Tag:
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

    @classmethod
    def parse(cls, text: str) -> Tag | None:
        """The tag in a text, or None when the text is not one."""
        match text.split("|"):
            case [home, run, slot, generation] if generation.isdigit():
                return cls(home, run, slot, int(generation))
        return None


def home_of(database: str) -> str:
    """What stands for a database in tags: short, so that it fits a small environment."""
    return hashlib.blake2s(os.path.realpath(database).encode(), digest_size=6).hexdigest()


def make_room() -> None:
    """See to it that this process's environment has room for the tags of what it forks.

    The room is laid down at exec, and cron or `env -i` give hardly any: then this program is
    executed once more, as the same process, with a variable that takes some.
    """
    filled = os.environ.pop(_FILLER, None)
    if filled is None and kernel.environment_room() < _ROOM:
        roomy = {**os.environ, _FILLER: "-" * _ROOM}
        again = [sys.executable, *sys.orig_argv[1:]]
        os.execve(sys.executable, again, roomy)  # noqa: S606 - itself, as it was called


def mark_this_process(tag: Tag) -> None:
    """Put the tag where this process's children inherit it: exec'd ones and forked ones."""
    os.environ[VARIABLE] = str(tag)
    kernel.rewrite_environment_block(_PREFIX + str(tag).encode())


def tag_of(pid: int) -> Tag | None:
    """The tag that a process carries; None when it has none, is gone, or is not ours to read."""
    try:
        block = Path(f"/proc/{pid}/environ").read_bytes()
    except OSError:
        return None
    for entry in block.split(b"\0"):
        if entry.startswith(_PREFIX):
            return Tag.parse(entry.removeprefix(_PREFIX).decode(errors="replace"))
    return None
