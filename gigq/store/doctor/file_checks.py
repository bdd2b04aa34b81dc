"""Checks of the facts about a file and its host, each a pure function."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gigq.model.units import MIB, format_size
from gigq.store.dialect import OLDEST_SQLITE
from gigq.store.doctor.finding import Finding
from gigq.store.sqlite.checkpoint import TOO_LONG
from gigq.store.sqlite.file.filesystem import is_network

if TYPE_CHECKING:
    from collections.abc import Iterator

    from gigq.store.doctor.inspection import File, Inspection

_PASSING = frozenset({"tmpfs", "ramfs", "overlay"})
_LITTLE_ROOM, _NO_ROOM = 256 * MIB, 16 * MIB
_MANY_FREE_PAGES = 64 * MIB
_OTHERS_MAY_READ, _OTHERS_MAY_WRITE, _STICKY = 0o004, 0o002, 0o1000


def has_wal_reset_defect(version: tuple[int, ...]) -> bool:
    """Return True for an SQLite that can lose commits when a checkpoint races with a writer.

    3.7.0 to 3.51.2 can, except from 3.50.7 on in series 3.50 and from 3.44.6 on in 3.44.
    """
    if version < (3, 7, 0) or version >= (3, 51, 3):
        return False
    return not ((3, 50, 7) <= version < (3, 51, 0) or (3, 44, 6) <= version < (3, 45, 0))


def library(inspected: Inspection) -> Iterator[Finding]:
    """Check the SQLite library in this Python."""
    version = ".".join(map(str, inspected.sqlite))
    found = f"SQLite {version} in Python {inspected.python}"
    if inspected.sqlite < OLDEST_SQLITE:
        oldest = ".".join(map(str, OLDEST_SQLITE))
        yield Finding("sqlite", "problem", found, f"gigq needs {oldest}; use a newer Python build")
    elif has_wal_reset_defect(inspected.sqlite):
        yield Finding(
            "sqlite",
            "note",
            f"{found} has the WAL-reset defect (3.7.0 to 3.51.2, but not 3.50.7 and later 3.50, "
            "nor 3.44.6 and later 3.44), unless your distribution has fixed it",
            "gigq's own checkpoints do not trigger it; let no other program write to the file, or "
            "use a Python with SQLite 3.51.3",
        )
    else:
        yield Finding("sqlite", "ok", f"{found}, without the WAL-reset defect")


def file_system(inspected: Inspection) -> Iterator[Finding]:
    """Check the file system of the database."""
    kind = inspected.file_system
    if is_network(kind):
        yield Finding(
            "filesystem",
            "problem",
            f"{kind} is a network file system, where SQLite cannot keep the file consistent",
            "stop everything, and move the database to a local disk",
        )
    elif kind in _PASSING:
        yield Finding(
            "filesystem",
            "note",
            f"{kind}: the jobs are gone with the memory or the container",
            "move the database to a disk or a volume, unless that is meant",
        )
    else:
        yield Finding("filesystem", "ok", kind or "of unknown type, taken for a local one")


def rights(inspected: Inspection) -> Iterator[Finding]:
    """Check the permissions of the file, its folder and the files of SQLite beside it."""
    folder, file, *beside = inspected.files
    found = [
        *_problems_of_folder(folder),
        *_problems_of_file(file, beside),
        *_problems_beside(file, beside),
    ]
    if not inspected.writable:
        found.append(
            Finding(
                "permissions",
                "warning",
                "this user may not write the file or its folder, so neither submit nor run jobs",
                "run as the owner, or share with a group: chgrp both, chmod 2770 folder, 660 file",
            )
        )
    yield from found or [
        Finding("permissions", "ok", f"{file.mode:04o}, owner {file.owner}, group {file.group}")
    ]


def _problems_of_folder(folder: File) -> Iterator[Finding]:
    if folder.mode & _OTHERS_MAY_WRITE and not folder.mode & _STICKY:
        yield Finding(
            "permissions",
            "warning",
            f"every account may replace files in {folder.path} (mode {folder.mode:04o})",
            f"chmod o-w {folder.path}",
        )


def _problems_of_file(file: File, beside: list[File]) -> Iterator[Finding]:
    close = " ".join(["chmod o=", *(one.path for one in [file, *beside])])
    if file.mode & _OTHERS_MAY_WRITE:
        yield Finding(
            "permissions",
            "problem",
            f"every account may write jobs into it (mode {file.mode:04o}), so run code as a worker",
            close,
        )
    elif file.mode & _OTHERS_MAY_READ:
        yield Finding(
            "permissions",
            "warning",
            f"every account may read parameters and results (mode {file.mode:04o})",
            close,
        )
    if file.links > 1:
        yield Finding(
            "permissions",
            "warning",
            f"it has {file.links} names (hard links): by another name SQLite finds another log",
            "use one name only, and remove the others",
        )


def _problems_beside(file: File, beside: list[File]) -> Iterator[Finding]:
    for one in beside:
        if (one.owner, one.group) != (file.owner, file.group) or one.mode != file.mode:
            yield Finding(
                "permissions",
                "warning",
                f"{one.path} has owner {one.owner}:{one.group} and mode {one.mode:04o}, the file "
                f"{file.owner}:{file.group} and {file.mode:04o}",
                f"chown and chmod it with --reference={file.path}",
            )


def journal(inspected: Inspection) -> Iterator[Finding]:
    """Check the journal mode."""
    if inspected.content is None:
        return
    mode = inspected.content.journal_mode
    if mode not in {None, "wal"}:
        yield Finding(
            "journal",
            "warning",
            f"journal mode {mode}, although it is in use",
            "gigq sets WAL when it opens the file; find the program that has set another mode",
        )
    else:
        state = "WAL" if mode else "not in use, so there is no log"
        yield Finding("journal", "ok", f"{state}; submits are committed with synchronous=FULL")


def log(inspected: Inspection) -> Iterator[Finding]:
    """Check that the write-ahead log exists, and its size."""
    if is_log_missing(inspected):
        yield _missing_log(inspected)
        return
    pids = " ".join(map(str, inspected.readers))
    if inspected.wal <= TOO_LONG:
        yield Finding("wal", "ok", f"{format_size(inspected.wal)} in the log")
        return
    why = f"processes {pids} are reading" if pids else "no process reads at the moment"
    yield Finding(
        "wal",
        "warning",
        f"{format_size(inspected.wal)} in the log, which is kept below "
        f"{format_size(TOO_LONG)}: {why}",
        f"end the long transactions of {pids}: the log cannot be shortened while they read"
        if pids
        else "start gigqd, which shortens it; if it runs, look for long transactions",
    )


def is_log_missing(inspected: Inspection) -> bool:
    """Return True when the log was deleted during use: only its index is left."""
    names = {file.path.removeprefix(inspected.path) for file in inspected.files}
    return "-shm" in names and "-wal" not in names


def _missing_log(inspected: Inspection) -> Finding:
    if inspected.is_served is False:
        remedy = (
            "put it back; if it is lost and no process has the file open any more, what it held is "
            "lost too: restore a backup, with the -shm moved away"
        )
    else:
        remedy = (
            "put it back, or stop everything that uses the file, without kill -9 (gigqd stop): the "
            "process that ends last writes the log into the file; until then start nothing new "
            "there, and copy nothing"
        )
    return Finding(
        "wal", "problem", f"{inspected.path}-wal was deleted while it was in use", remedy
    )


def size(inspected: Inspection) -> Iterator[Finding]:
    """Check the size of the file and its free pages."""
    if inspected.content is None:
        return
    c = inspected.content
    pages = f"{c.pages} pages of {c.page_size} bytes, {c.free_pages} free"
    found = f"{format_size(inspected.size)}, {pages}"
    if c.free_pages * c.page_size > _MANY_FREE_PAGES and 2 * c.free_pages > c.pages:
        yield Finding(
            "size",
            "note",
            found,
            "SQLite uses the free pages again; gigqd and `gigq prune` return them a few at a time"
            if c.gives_back
            else "SQLite uses the free pages again; to return them, stop everything and run "
            "`PRAGMA auto_vacuum = INCREMENTAL; VACUUM`; from then on gigqd returns them",
        )
    else:
        yield Finding("size", "ok", found)


def room(inspected: Inspection) -> Iterator[Finding]:
    """Check the free space of the disk."""
    found = f"{format_size(inspected.room)} free on the disk"
    if inspected.room < _LITTLE_ROOM:
        severity = "problem" if inspected.room < _NO_ROOM else "warning"
        yield Finding("disk", severity, found, "make room: without it nothing can be stored")
    elif inspected.room < inspected.size:
        yield Finding("disk", "note", found, "a backup beside the file would not fit")
    else:
        yield Finding("disk", "ok", found)
