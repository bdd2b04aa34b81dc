"""Inspection of a database without changing or creating it: facts, not judgements."""

from __future__ import annotations

import contextlib
import os
import shutil
import sqlite3
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gigq.errors import StoreCorrupt, StoreError, StoreUnavailable
from gigq.model import clock
from gigq.store import migrate, schema_versions
from gigq.store.dialect import SQLITE
from gigq.store.doctor.queue_facts import BUDGET, COUNTS, Waiting, finished
from gigq.store.read_only import reading
from gigq.store.sqlite.checkpoint import wal_room, wal_size
from gigq.store.sqlite.errors import primary_code, translated
from gigq.store.sqlite.file.filesystem import kind_of, refuse_other_kind, resolve
from gigq.store.sqlite.file.identity import stamp
from gigq.store.sqlite.processes import lock_holders
from gigq.store.statements import read_only_statements
from gigq.store.verbs import unknown_functions

if TYPE_CHECKING:
    from collections.abc import Mapping

CHECKS = {"quick": "PRAGMA quick_check(20)", "full": "PRAGMA integrity_check(20)"}
_WITH_EDGES_BY_JOB = 3
_WITH_DUE_TIMES = 11
_WITH_PAUSES = 14
_WITH_UNKNOWN_FUNCTIONS = 16
_STEPS_A_LOOK = 10_000
_LOOKS = 3


@dataclass(frozen=True, slots=True)
class File:
    """A file or folder: its mode, its owner and its number of hard links."""

    path: str
    mode: int
    owner: int
    group: int
    links: int


@dataclass(frozen=True, slots=True)
class Content:
    """The content of a database, as read from it.

    Attributes:
        journal_mode: None when no process has the file open: asking would make SQLite create a
            log.
        tables: their names.
        schema: the version; 0 for a file of GigQ 0.5.1, or without a queue.
        usable_from: the oldest version whose programs may use a database that a newer gigq has
            migrated; None for another one.
        obstacle: the reason why a file of GigQ 0.5.1 cannot be upgraded; None when it can.
        page_size: bytes.
        pages: number of pages.
        free_pages: number of unused pages.
        counts: number of jobs by state; states not counted within `BUDGET` are left out.
        waiting: the queues with due jobs; None when not found within `BUDGET`.
        overdue_since: the earliest retry time that has passed.
        paused: the times of the pauses by queue.
        unknown: the functions that daemons have not found, with their hosts.
        running: the open executions, with `run` and `worker_id`.
        integrity: the result of the check, `("ok",)` without damage; None when not requested.
        gives_back: True when free pages can be returned to the disk a few at a time.
    """

    journal_mode: str | None
    tables: frozenset[str]
    schema: int
    page_size: int
    pages: int
    free_pages: int
    counts: Mapping[str, int] = field(default_factory=dict)
    waiting: tuple[Waiting, ...] | None = None
    overdue_since: str | None = None
    paused: Mapping[str, str] = field(default_factory=dict)
    unknown: tuple[str, ...] = ()
    running: tuple[Mapping[str, Any], ...] = ()
    integrity: tuple[str, ...] | None = None
    gives_back: bool = False
    obstacle: str | None = None
    usable_from: int | None = None


@dataclass(frozen=True, slots=True)
class Inspection:
    """All facts that the checks judge.

    Attributes:
        path: the database file.
        now: the current time, as stored text.
        python: its version.
        sqlite: the library's version.
        file_system: its type, "" when unknown.
        files: the folder, the file, and its `-wal` and `-shm` if they exist.
        writable: True when this user may write the file and its folder.
        size: bytes of the file.
        wal: bytes of its log.
        room: free bytes on the disk.
        known_schema: the schema version that this gigq works with.
        readers: processes seen twice in a read transaction, before and after the inspection.
        servers: processes that run jobs; None when this user may not see them.
        gone: number of open executions whose process has ended; None when unknown.
        content: the content of the file; None when it cannot be read.
        error: the reason why it cannot be read.
    """

    path: str
    now: str
    python: str
    sqlite: tuple[int, ...]
    file_system: str
    files: tuple[File, ...]
    writable: bool
    size: int
    wal: int
    room: int
    known_schema: int
    readers: tuple[int, ...] = ()
    servers: Mapping[str, tuple[int, ...]] | None = None
    gone: int | None = None
    content: Content | None = None
    error: str | None = None

    @property
    def is_served(self) -> bool | None:
        """True when a process runs jobs, False when none does, None when unknown."""
        return None if self.servers is None else any(self.servers.values())


def gather(database: str | os.PathLike[str], check: str | None = None) -> Inspection:
    """Inspect a database without writing, creating or waiting.

    Args:
        database: the file.
        check: `quick` or `full` to check every page, too.

    Raises:
        StoreUnavailable: the file does not exist or may not be read.
        UnsupportedStore: `database` does not name a file.
        OSError: the file cannot be reached.
    """
    path = resolve(database)
    _refuse_unreadable(path, os.fspath(database))
    before = lock_holders.readers(path)
    content, problem = _content_or_error(path, check)
    found = Path(path).stat()
    folder = str(Path(path).parent)
    return Inspection(
        path=path,
        now=clock.utc_now(),
        python=sys.version.partition(" ")[0],
        sqlite=sqlite3.sqlite_version_info,
        file_system=kind_of(path),
        files=tuple(_files(folder, path, f"{path}-wal", f"{path}-shm")),
        writable=os.access(path, os.W_OK) and os.access(folder, os.W_OK | os.X_OK),
        size=found.st_size,
        wal=wal_size(path),
        room=shutil.disk_usage(folder).free,
        known_schema=schema_versions.latest(SQLITE),
        readers=tuple(sorted(before & lock_holders.readers(path))),
        servers=lock_holders.servers(path),
        gone=_gone(path, content),
        content=content,
        error=problem,
    )


def _refuse_unreadable(path: str, shown: str) -> None:
    try:
        os.lstat(path)
    except FileNotFoundError as error:
        log = (
            f"; its log {path}-wal is there: put the file back beside it" if wal_room(path) else ""
        )
        raise StoreUnavailable(
            f"there is no database {shown}{log}; name another: --db FILE"
        ) from error
    except OSError as error:
        why = f"{shown} cannot be reached by this user ({error.strerror}); run as its owner"
        raise type(error)(why) from error
    refuse_other_kind(path)
    if not os.access(path, os.R_OK):
        owner = Path(path).stat().st_uid
        raise StoreUnavailable(f"{shown} may not be read by this user; it belongs to user {owner}")


def _files(*paths: str) -> list[File]:
    found = []
    for path in paths:
        with contextlib.suppress(FileNotFoundError):
            s = os.stat(path)  # noqa: PTH116 - opening it would drop locks
            found.append(File(path, s.st_mode & 0o7777, s.st_uid, s.st_gid, s.st_nlink))
    return found


def _content_or_error(path: str, check: str | None) -> tuple[Content | None, str | None]:
    for looks_left in reversed(range(_LOOKS)):
        before = _state(path)
        try:
            return _content(path, check), None
        except (sqlite3.Error, StoreError) as error:
            # A file without a log is read without locks; a writer may have begun since.
            if _state(path) == before or not looks_left:
                return None, str(
                    translated(error, path) if isinstance(error, sqlite3.Error) else error
                )
    raise AssertionError("unreachable")


def _state(path: str) -> tuple[object, ...]:
    return (*stamp(path), os.path.exists(f"{path}-wal"))  # noqa: PTH110


def _content(path: str, check: str | None) -> Content:
    used = os.path.exists(f"{path}-wal")  # noqa: PTH110
    with reading(path) as reader:
        reader.row_factory = sqlite3.Row
        reader.text_factory = lambda text: text.decode(errors="replace")
        tables = frozenset(row[0] for row in reader.execute(_sql("table_names")))
        schema = _number(reader, _sql("schema_version")) if "gigq_schema" in tables else 0
        is_newer = schema > schema_versions.latest(SQLITE)
        known = {} if schema < 1 else _jobs(reader, schema, is_checked=check is not None)
        return Content(
            journal_mode=str(_one(reader, "PRAGMA journal_mode")) if used else None,
            tables=tables,
            schema=schema,
            page_size=_number(reader, "PRAGMA page_size"),
            pages=_number(reader, "PRAGMA page_count"),
            free_pages=_number(reader, "PRAGMA freelist_count"),
            gives_back=_number(reader, "PRAGMA auto_vacuum") > 0,
            integrity=_integrity(reader, check),
            usable_from=_number(reader, _sql("usable_from")) if is_newer else None,
            obstacle=migrate.obstacle(reader, path) if schema < 1 and "jobs" in tables else None,
            **known,
        )


def _jobs(reader: sqlite3.Connection, schema: int, *, is_checked: bool) -> dict[str, Any]:
    """Count the jobs by narrow indexes, for `BUDGET` seconds at most.

    When every page is checked as well, that check reports damage that is met here.
    """
    deadline = time.monotonic() + BUDGET
    reader.set_progress_handler(lambda: time.monotonic() > deadline, _STEPS_A_LOOK)
    known: dict[str, Any] = {"counts": {}}
    try:
        known["running"] = tuple(dict(row) for row in reader.execute(_sql("open_executions")))
        known["overdue_since"] = _one(reader, _sql("overdue_since"), {"now": clock.utc_now()})
        if schema >= _WITH_PAUSES:
            known["paused"] = dict(map(tuple, reader.execute(_sql("pauses"))))
        if schema >= _WITH_UNKNOWN_FUNCTIONS:
            since = {"after": unknown_functions.fresh_after(clock.utc_now())}
            rows = reader.execute(_sql("unknown_functions"), since)
            known["unknown"] = unknown_functions.shown(rows)
        if schema >= _WITH_DUE_TIMES:
            # `str`: other programs may have written blobs.
            found = reader.execute(_sql("longest_due"))
            known["waiting"] = tuple(Waiting(*map(str, row)) for row in found)
        known["counts"]["running"] = len(known["running"])
        # The quick counts first; the time of the last two grows with the number of jobs.
        for name, sql in COUNTS.items():
            if name != "waiting" or schema >= _WITH_EDGES_BY_JOB:
                known["counts"][name] = _number(reader, _sql(sql))
        known["counts"]["finished"] = finished(known["counts"])
    except sqlite3.DatabaseError as error:
        is_reported = is_checked and isinstance(translated(error, "it"), StoreCorrupt)
        if primary_code(error) != sqlite3.SQLITE_INTERRUPT and not is_reported:
            raise
    finally:
        reader.set_progress_handler(None, 0)
    return known


def _integrity(reader: sqlite3.Connection, check: str | None) -> tuple[str, ...] | None:
    if check is None:
        return None
    reader.set_progress_handler(lambda: 0, _STEPS_A_LOOK)  # lets Python run signal handlers
    try:
        return tuple(str(row[0]) for row in reader.execute(CHECKS[check]))
    except sqlite3.DatabaseError as error:
        found = translated(error, "it")
        if not isinstance(found, StoreCorrupt):
            raise
        return (str(error),)


def _gone(path: str, content: Content | None) -> int | None:
    if content is None:
        return None
    answers = [lock_holders.is_gone(path, row["run"]) for row in content.running]
    return None if None in answers else sum(map(bool, answers))


def _sql(name: str) -> str:
    return read_only_statements()[name]


def _one(reader: sqlite3.Connection, sql: str, params: Mapping[str, Any] | None = None) -> Any:
    row = reader.execute(sql, params or {}).fetchone()
    return None if row is None else row[0]


def _number(reader: sqlite3.Connection, sql: str) -> int:
    return int(_one(reader, sql) or 0)
