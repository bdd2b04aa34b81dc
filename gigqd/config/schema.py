"""Every key of the configuration: its kind, default, reason and what a reload does with it."""

from collections.abc import Mapping
from dataclasses import Field, dataclass, field, fields
from pathlib import Path
from types import MappingProxyType
from typing import Any

from gigqd.config import kinds
from gigqd.config.keys import (
    ACCOUNT,
    MODULE,
    NAME,
    OPTIONAL_PATH,
    PATTERN,
    Effect,
    about,
    database,
)
from gigqd.config.kinds import DAY, HOUR
from gigqd.config.log import LogConfig
from gigqd.config.pool import PoolConfig

LIVE, RECYCLE, RESTART = Effect.LIVE, Effect.RECYCLE, Effect.RESTART


@dataclass(frozen=True, slots=True, kw_only=True)
class DaemonConfig:
    """The supervisor itself: who it is, where it lives and how long it waits."""

    name: str = field(
        default="default",
        metadata=about(
            kinds.text(lambda text: bool(NAME.fullmatch(text)), "letters, digits, . _ -", "name"),
            RESTART,
            "Tells several daemons on one host apart.",
        ),
    )
    runtime_dir: Path = field(
        metadata=about(
            OPTIONAL_PATH,
            RESTART,
            "Directory of the lock, the pid file and the control socket; created 0750.",
            fallback="",
            computed="the path of the database and .gigqd; for a daemon with a name, that and - "
            "and the name",
        )
    )
    working_directory: Path = field(
        metadata=about(
            kinds.path(),
            RECYCLE,
            "Directory the workers run in; relative paths in jobs start here.",
            fallback=".",
        )
    )
    user: str | None = field(
        default=None,
        metadata=about(
            ACCOUNT, RESTART, "Account to change to, for good, before any job code is loaded."
        ),
    )
    group: str | None = field(
        default=None,
        metadata=about(ACCOUNT, RESTART, "Group to change to; the user's own group when not set."),
    )
    umask: int = field(
        default=0o027,
        metadata=about(kinds.octal(), RECYCLE, "Permissions that new files never get."),
    )
    stop_timeout: float = field(
        default=30.0,
        metadata=about(
            kinds.duration(0.1, 7 * DAY),
            LIVE,
            "How long a stop waits for running jobs before it interrupts and hands them back.",
        ),
    )
    start_timeout: float = field(
        default=60.0,
        metadata=about(
            kinds.duration(0.1, HOUR),
            LIVE,
            "How long a start waits for the database and the first worker before it fails.",
        ),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class QueueConfig:
    """The job queue: where it is stored and what it may hold."""

    database: str = field(
        metadata=about(
            database(),
            RESTART,
            "SQLite file of the queue, on a local file system; created when missing.",
            fallback="gigq.db",
            required='missing; set it to the queue\'s file, such as "/var/lib/gigq/gigq.db"',
        )
    )
    lock_timeout: float = field(
        default=30.0,
        metadata=about(
            kinds.duration(0.1, HOUR),
            RECYCLE,
            "How long a transaction waits for another writer before it is an error.",
        ),
    )
    durability: str = field(
        default="normal",
        metadata=about(
            kinds.choice("normal", "full"),
            RECYCLE,
            'What a power cut may undo: "normal" the last outcomes, whose jobs run again; '
            '"full" nothing, at the price of an fsync for every transaction.',
        ),
    )
    max_result_size: int = field(
        default=1024**2,
        metadata=about(
            kinds.size(1024, 1024**3),
            RECYCLE,
            "Largest result of a job, as JSON; a job with a larger one fails for good.",
        ),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class RetentionConfig:
    """How long and how many finished jobs are kept, with their executions, before they go."""

    completed_age: float = field(
        default=7 * DAY,
        metadata=about(
            kinds.duration(),
            RECYCLE,
            "How long a completed job is kept after its end; 0 is for ever.",
        ),
    )
    completed_count: int = field(
        default=1_000_000,
        metadata=about(
            kinds.whole(0, 1_000_000_000, "jobs"),
            RECYCLE,
            "How many completed jobs are kept at most, those stored last; 0 is all.",
        ),
    )
    failed_age: float = field(
        default=30 * DAY,
        metadata=about(
            kinds.duration(),
            RECYCLE,
            "How long a failed job is kept after its end; 0 is for ever.",
        ),
    )
    failed_count: int = field(
        default=1_000_000,
        metadata=about(
            kinds.whole(0, 1_000_000_000, "jobs"),
            RECYCLE,
            "How many failed jobs are kept at most, those stored last; 0 is all.",
        ),
    )
    timeout_age: float = field(
        default=30 * DAY,
        metadata=about(
            kinds.duration(),
            RECYCLE,
            "How long a timed out job is kept after its end; 0 is for ever.",
        ),
    )
    timeout_count: int = field(
        default=1_000_000,
        metadata=about(
            kinds.whole(0, 1_000_000_000, "jobs"),
            RECYCLE,
            "How many timed out jobs are kept at most, those stored last; 0 is all.",
        ),
    )
    cancelled_age: float = field(
        default=7 * DAY,
        metadata=about(
            kinds.duration(),
            RECYCLE,
            "How long a cancelled job is kept after its end; 0 is for ever.",
        ),
    )
    cancelled_count: int = field(
        default=1_000_000,
        metadata=about(
            kinds.whole(0, 1_000_000_000, "jobs"),
            RECYCLE,
            "How many cancelled jobs are kept at most, those stored last; 0 is all.",
        ),
    )

    def of(self, status: str) -> tuple[float, int]:
        """Seconds and number for which jobs of a finished status are kept; 0 is no limit."""
        return getattr(self, f"{status}_age"), getattr(self, f"{status}_count")


@dataclass(frozen=True, slots=True, kw_only=True)
class CodeConfig:
    """The code that jobs run: where it is found and what surrounds it.

    `environment` holds what workers get: the variables of `environment_file`, then those of
    the table itself, which win.
    """

    python_path: tuple[Path, ...] = field(
        metadata=about(
            kinds.list_of(kinds.path()),
            RECYCLE,
            "Directories put in front of Python's module path.",
            fallback=["."],
        )
    )
    imports: tuple[str, ...] = field(
        default=(),
        metadata=about(
            kinds.list_of(MODULE),
            RECYCLE,
            "Modules each worker imports before its first job; a failure keeps it from starting.",
        ),
    )
    hooks: str | None = field(
        default=None,
        metadata=about(
            kinds.optional(MODULE, ""),
            RECYCLE,
            "Module with `before_job`, `after_job`, `worker_start` or `worker_stop`; each worker "
            "imports it before `imports`.",
        ),
    )
    environment_file: Path | None = field(
        default=None,
        metadata=about(
            OPTIONAL_PATH, RECYCLE, "File of NAME=value lines added to the workers' environment."
        ),
    )
    environment: Mapping[str, str] = field(
        default_factory=dict,
        repr=False,  # secrets are kept here
        metadata=about(
            kinds.text(lambda _text: True, "text in quotes"),
            RECYCLE,
            "Variables added to the workers' environment; they win over environment_file.",
            each=True,
        ),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class SecurityConfig:
    """What the writers of the queue may have the workers run."""

    allow: tuple[str, ...] = field(
        default=("*",),
        metadata=about(
            kinds.list_of(PATTERN, required="an empty list would allow no job at all"),
            RECYCLE,
            'Patterns of "module.function" that jobs may call, checked before an import.',
        ),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Config:
    """A whole, checked configuration; every path in it is absolute."""

    source: Path | None
    daemon: DaemonConfig
    queue: QueueConfig
    retention: RetentionConfig
    code: CodeConfig
    log: LogConfig
    security: SecurityConfig
    pools: tuple[PoolConfig, ...]


TABLES: Mapping[str, type] = MappingProxyType(
    {
        "daemon": DaemonConfig,
        "queue": QueueConfig,
        "retention": RetentionConfig,
        "code": CodeConfig,
        "log": LogConfig,
        "security": SecurityConfig,
    }
)


def keys(table: type) -> dict[str, Field[Any]]:
    """The keys a user may write in a table, by name, in order."""
    return {item.name: item for item in fields(table) if "key" in item.metadata}
