"""Identity of a daemon: its configuration file, its database and its name.

A daemon belongs to its configuration file, or without one to its database and `daemon.name`. It
writes its identity into its lock file, as one line of JSON, so that a command never acts on the
daemon of another project.
"""

from __future__ import annotations

import json
import os
import stat
from typing import TYPE_CHECKING, Any, NamedTuple

from gigq.model.database_address import is_address, without_password
from gigq.terminal import printable

if TYPE_CHECKING:
    from collections.abc import Mapping

    from gigqd.config import Config

_LARGEST = 65536
_OVERRIDES = ("GIGQD_DAEMON__NAME", "GIGQD_QUEUE__DATABASE")


class Identity(NamedTuple):
    """The configuration file, the database and the name of a daemon.

    Attributes:
        config: the absolute path of its configuration file, links kept; None without a file.
        database: the path of its database without links, or its address without a password.
        name: its name.
        overrides: the name and the database from the environment, which replace those of the file;
            several daemons can share a file in this way.
        place_on_host: the path beside which a daemon on PostgreSQL keeps its locks; empty for a
            file, which is that path.
    """

    config: str | None
    database: str
    name: str
    overrides: tuple[str, str]
    place_on_host: str = ""

    def __str__(self) -> str:
        file = printable(self.config) if self.config else "none"
        return f'configuration {file}, database {printable(self.database)}, name "{self.name}"'

    @property
    def place(self) -> str:
        """The path beside which the daemon keeps its locks."""
        return self.place_on_host or self.database

    def has_file_of(self, other: Identity) -> bool:
        """Return True when both run the configuration at the same path.

        The files are not compared: two projects may share one behind links, each with a database
        of its own beside its link.
        """
        same = (self.config, self.overrides) == (other.config, other.overrides)
        return self.config is not None and same

    def has_queue_of(self, other: Identity) -> bool:
        """Return True when both serve the same database under the same name."""
        return (self.database, self.name) == (other.database, other.name)

    def other_file_than(self, other: Identity) -> str | None:
        """Return the configuration file, when another configuration names this daemon's queue."""
        return None if self.has_file_of(other) else self.config

    def is_that_of(self, other: Identity) -> bool:
        """Return True when a command for one of them may act on the other."""
        return self.has_file_of(other) or self.has_queue_of(other)


class Record(NamedTuple):
    """The text of a daemon's lock file.

    Attributes:
        lock: the path of the lock file.
        identity: the identity of the daemon that holds it.
    """

    lock: str
    identity: Identity


def overrides_of(environ: Mapping[str, str]) -> tuple[str, str]:
    """Return the name and the database that an environment sets; empty texts for none."""
    name, database = (environ.get(variable, "") for variable in _OVERRIDES)
    return name, _place_of(database) if database else ""


def identity_of(config: Config, environ: Mapping[str, str]) -> Identity:
    """Return the identity of the daemon that runs a configuration.

    Args:
        config: the configuration.
        environ: the environment that it was read with.
    """
    return Identity(
        config=str(config.source) if config.source else None,
        database=_place_of(config.queue.database),
        name=config.daemon.name,
        overrides=overrides_of(environ),
        place_on_host="" if config.database_file else os.path.realpath(config.place),
    )


def _place_of(database: str) -> str:
    return without_password(database) if is_address(database) else os.path.realpath(database)


def identity_from(said: Any) -> Identity:
    """Return the identity in a JSON object.

    Raises:
        LookupError, TypeError, ValueError: the object is something else.
    """
    name, database = said["overrides"]
    place = said.get("place_on_host", "")
    found = Identity(said["config"], said["database"], said["name"], (name, database), place)
    texts = (found.config or "", found.database, found.name, name, database, place)
    if not all(isinstance(text, str) for text in texts):
        raise TypeError("an identity consists of texts")
    return found


def write_record(descriptor: int, record: Record) -> None:
    """Replace the text of an open lock file.

    Raises:
        OSError: it cannot be written.
    """
    text = json.dumps({"lock": record.lock, **record.identity._asdict()}).encode() + b"\n"
    os.pwrite(descriptor, text, 0)
    os.ftruncate(descriptor, len(text))


def read_record(descriptor: int) -> Record | None:
    """Return the record in an open lock file; None when the file has none."""
    try:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            return None
        said = json.loads(os.pread(descriptor, _LARGEST, 0))
        return Record(os.fspath(said["lock"]), identity_from(said))
    except (OSError, ValueError, LookupError, TypeError, AttributeError, RecursionError):
        return None
