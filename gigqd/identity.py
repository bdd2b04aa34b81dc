"""Which daemon a lock file belongs to: its configuration file, its database and its name.

A daemon belongs to its configuration file, or without one to its database and `daemon.name`. It
writes that into its lock file, as one line of JSON, so that a command never takes the daemon of
another project for its own.
"""

from __future__ import annotations

import json
import os
import stat
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any

from gigqd.pidfile import ticks_of
from gigqd.text import printable

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from gigqd.config import Config

_LARGEST = 65536
_OVERRIDES = ("GIGQD_DAEMON__NAME", "GIGQD_QUEUE__DATABASE")


@dataclass(frozen=True, slots=True)
class Identity:
    """The configuration file, the database and the name of a daemon.

    Attributes:
        config: the absolute path of its configuration file, links kept; None without a file.
        database: the path of its database, without links.
        name: its name.
        overrides: the name and the database that the environment gave in place of the file's;
            several daemons may share a file in this way.
    """

    config: str | None
    database: str
    name: str
    overrides: tuple[str, str]

    def __str__(self) -> str:
        file = printable(self.config) if self.config else "none"
        return f'configuration {file}, database {printable(self.database)}, name "{self.name}"'

    def has_file_of(self, other: Identity) -> bool:
        """Return True when both run the configuration at the same path.

        The files are not compared: two projects may share one behind links, each with a database
        of its own beside its link.
        """
        return self.config is not None and self._file == other._file

    @property
    def _file(self) -> tuple[str | None, tuple[str, str]]:
        return self.config, self.overrides

    def has_queue_of(self, other: Identity) -> bool:
        """Return True when both serve the same database under the same name."""
        return (self.database, self.name) == (other.database, other.name)

    def other_file_than(self, other: Identity | None) -> str | None:
        """Return the configuration file, when another configuration names this daemon's queue."""
        return None if other is None or self.has_file_of(other) else self.config

    def is_that_of(self, other: Identity) -> bool:
        """Return True when a command for one of them may be given to the other."""
        return self.has_file_of(other) or self.has_queue_of(other)


@dataclass(frozen=True, slots=True)
class LockNote:
    """What a daemon writes into its lock file.

    Attributes:
        lock: the path of the lock file.
        identity: which daemon it is; None when only its runtime directory was given.
        pid: its process id; None while it is being started.
        start_ticks: when that process started, in clock ticks since boot.
    """

    lock: str
    identity: Identity | None
    pid: int | None = None
    start_ticks: int | None = None

    def of_this_process(self) -> LockNote:
        """Return the same note with the id and start time of this process."""
        return replace(self, pid=os.getpid(), start_ticks=ticks_of(os.getpid()))

    def names_a_live_process(self) -> bool:
        """Return True when the process with this id still is the one that wrote the note."""
        return self.pid is not None and ticks_of(self.pid) == self.start_ticks


def overrides_of(environ: Mapping[str, str]) -> tuple[str, str]:
    """Return the name and the database that an environment gives, empty where it gives none."""
    name, database = (environ.get(variable, "") for variable in _OVERRIDES)
    return name, os.path.realpath(database) if database else ""


def identity_of(config: Config, environ: Mapping[str, str]) -> Identity:
    """Return the identity of the daemon that runs a configuration.

    Args:
        config: the configuration.
        environ: the environment that it was read with.
    """
    return Identity(
        config=str(config.source) if config.source else None,
        database=os.path.realpath(config.queue.database),
        name=config.daemon.name,
        overrides=overrides_of(environ),
    )


def write_note(descriptor: int, note: LockNote) -> None:
    """Replace what an open lock file says.

    Raises:
        OSError: it cannot be written.
    """
    text = json.dumps(asdict(note)).encode() + b"\n"
    os.pwrite(descriptor, text, 0)
    os.ftruncate(descriptor, len(text))


def read_note(descriptor: int) -> LockNote | None:
    """Return what an open lock file says; None when it says nothing of this kind."""
    try:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            return None
        return _parse(json.loads(os.pread(descriptor, _LARGEST, 0)))
    except (OSError, ValueError, LookupError, TypeError, AttributeError, RecursionError):
        return None


def read_note_at(path: Path) -> LockNote | None:
    """Return what the lock file at a path says; None when there is none, or it says nothing."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        return None
    try:
        return read_note(descriptor)
    finally:
        os.close(descriptor)


def identity_from(said: Any) -> Identity:
    """Return the identity that `dataclasses.asdict` has made this of.

    Raises:
        LookupError, TypeError, ValueError: it is something else.
    """
    name, database = said["overrides"]
    return Identity(said["config"], said["database"], said["name"], (name, database))


def _parse(said: Any) -> LockNote | None:
    of = said["identity"]
    identity = None if of is None else identity_from(of)
    note = LockNote(said["lock"], identity, said["pid"], said["start_ticks"])
    return note if _is_sound(note) else None


def _is_sound(note: LockNote) -> bool:
    texts: list[object] = [note.lock]
    if (of := note.identity) is not None:
        texts += [of.database, of.name, *of.overrides, of.config or ""]
    numbers = (note.pid, note.start_ticks)
    return all(isinstance(text, str) for text in texts) and all(
        number is None or (isinstance(number, int) and number > 0) for number in numbers
    )
