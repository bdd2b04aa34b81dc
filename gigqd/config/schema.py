"""Every key of the configuration, one line each: default, type, effect of a change, and meaning."""

from __future__ import annotations

from enum import StrEnum
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple, Self

from gigq.model.database_address import is_address
from gigq.model.units import DAY, GIB, HOUR, KIB, MIB
from gigqd.config.value_types import (
    ACCOUNT,
    DAEMON_NAME,
    DATABASE,
    FLAG,
    LEAK,
    MODULE,
    PATH,
    PATTERN,
    QUEUES,
    VARIABLE_VALUE,
    ValueType,
    byte_size,
    choice,
    duration,
    list_of,
    number,
    octal,
    optional,
    text,
    whole,
)

if TYPE_CHECKING:
    from collections.abc import Mapping


class Effect(StrEnum):
    """The effect of a reload on a changed key."""

    LIVE = "live"
    """Applied at once; no process is replaced."""
    RECYCLE = "recycle"
    """Each worker is replaced after its current job."""
    RESTART = "restart"
    """Not applied; reported as needing a restart."""


_BESIDE_DATABASE = (
    "`DATABASE.gigqd`, or with PostgreSQL `CONFIGURATION.gigqd`; with `-NAME` appended for a daemon "
    "with a name"
)
_NO_DATABASE = (
    'missing; set it to the queue\'s file, such as "/var/lib/gigq/gigq.db", or to the address of a '
    "PostgreSQL database"
)
_HERE = Path()

LIVE, RECYCLE, RESTART = Effect.LIVE, Effect.RECYCLE, Effect.RESTART


class Key(NamedTuple):
    """A key of the configuration.

    `default` is what the file would hold. `computed` describes a value that follows from others
    while the key is not set; `required` is the message for a key that must be set; `is_table`
    marks a table of free names; `formerly` is the key's old name.
    """

    default: object
    type: ValueType
    effect: Effect
    meaning: str
    computed: str = ""
    required: str = ""
    is_table: bool = False
    formerly: str = ""


def key(default: object, type_: ValueType, effect: Effect, meaning: str, **more: Any) -> Any:
    """Declare a key; the attribute's annotation is the type of its parsed value."""
    return Key(default, type_, effect, meaning, **more)


class Record:
    """Named values that never change, from keyword arguments."""

    _HIDDEN: ClassVar[tuple[str, ...]] = ()

    def __init__(self, **values: Any) -> None:
        vars(self).update(values)

    def __setattr__(self, name: str, value: object) -> None:
        raise AttributeError(f"{type(self).__name__}.{name} cannot be set; use replace()")

    def __eq__(self, other: object) -> bool:
        return type(other) is type(self) and vars(other) == vars(self)

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        shown = ", ".join(f"{n}={v!r}" for n, v in vars(self).items() if n not in self._HIDDEN)
        return f"{type(self).__name__}({shown})"

    def replace(self, **changes: Any) -> Self:
        """Return a copy with other values for some names."""
        return type(self)(**vars(self) | changes)


class Table(Record):
    """The values of one table of the configuration: an attribute for each key.

    Args:
        values: parsed values by key; a key that is left out has its default.
    """

    KEYS: ClassVar[dict[str, Key]] = {}
    """The keys that a user may write in the table, by name, in order."""

    def __init_subclass__(cls) -> None:
        cls.KEYS = {name: found for name, found in vars(cls).items() if isinstance(found, Key)}

    def __init__(self, **values: Any) -> None:
        if unknown := values.keys() - self.KEYS.keys():
            raise TypeError(f"{type(self).__name__} has no {', '.join(sorted(unknown))}")
        super().__init__(**{**self.defaults(_HERE), **values})

    @classmethod
    @lru_cache(maxsize=32)
    def defaults(cls, base: Path) -> Mapping[str, Any]:
        """Return the values of keys that are not set, with relative paths below `base`."""
        keys = cls.KEYS.items()
        return {n: {} if k.is_table else k.type.parse(k.default, base) for n, k in keys}

    @classmethod
    def renamed(cls, old: str) -> str | None:
        """Return the name that a key with an old name has now; None when there is no such key."""
        return next((new for new, item in cls.KEYS.items() if old and item.formerly == old), None)


# fmt: off
class DaemonConfig(Table):
    """The supervisor: its name, its files, its account and its time limits."""

    name: str = key("default", DAEMON_NAME, RESTART, "Name of the daemon, for several daemons on one host.")
    runtime_dir: Path = key("", optional(PATH, ""), RESTART, "Directory of the lock, the pid file and the control socket; created with mode 0750.", computed=_BESIDE_DATABASE)
    working_directory: Path = key(".", PATH, RECYCLE, "Working directory of the workers; relative paths in jobs start here.")
    user: str | None = key("", ACCOUNT, RESTART, "Account of the daemon and its workers, if root starts it.")
    group: str | None = key("", ACCOUNT, RESTART, "Group of that account; by default its primary group.")
    umask: int = key("027", octal(), RECYCLE, "File mode mask of the workers, as for umask(1).")
    stop_timeout: float = key("30s", duration(0.1, 7 * DAY), LIVE, "Time that a stop waits for running jobs before it interrupts them. Interrupted jobs run again after the next start; those with a single attempt fail.")
    start_timeout: float = key("1m", duration(0.1, HOUR), LIVE, "Time that a start waits for the database and the first worker before it fails.")

    def runtime_file(self, suffix: str) -> Path:
        """Return the path of a runtime file, such as `.lock`: each daemon has its own."""
        stem = "gigqd" if self.name == "default" else f"gigqd-{self.name}"
        return self.runtime_dir / f"{stem}{suffix}"


class QueueConfig(Table):
    """The job queue: where it is stored and what it may hold."""

    database: str = key("gigq.db", DATABASE, RESTART, "SQLite file of the queue, on a local file system, created if it is missing; or the address of a PostgreSQL database, `postgresql://HOST/DATABASE`.", required=_NO_DATABASE)
    schema: str | None = key("", optional(text(expected="a name", name="name"), ""), RESTART, "Schema of the queue in a PostgreSQL database; by default that of the connection, usually `public`.")
    pooler: bool = key(False, FLAG, RESTART, "Says that `database` is the address of a connection pooler in transaction mode, such as PgBouncer.")
    direct_address: str | None = key("", optional(text(expected="an address", name="address"), ""), RESTART, "With `pooler`, the address of the server itself, or its `HOST:PORT`, for notifications and migrations.")
    lease: float = key("30s", duration(3, 600), RESTART, "With a PostgreSQL database, the time after which other hosts run the jobs of a daemon that they no longer see; it ends its own jobs before that.")
    lock_timeout: float = key("30s", duration(0.1, HOUR), RECYCLE, "Time that a transaction waits for another writer before it fails.")
    durability: str = key("normal", choice("normal", "full"), RECYCLE, 'Effect of a power cut: with "normal" the last outcomes may be lost, and their jobs run again; with "full" nothing is lost, and each transaction needs an fsync.')
    unknown_function_wait: float = key("10m", duration(0, DAY), RECYCLE, "Time that a job whose function this daemon does not find waits for a daemon that knows it, or for a reload; then it fails. 0: it fails at once, and is tried again like any failure.")
    max_result_size: int = key("1 MiB", byte_size(KIB, GIB), RECYCLE, "Maximum size of a job's result as JSON; a job with a larger result fails for good.")


class RetentionConfig(Table):
    """Age and number of the finished jobs to keep; others are deleted with their executions."""

    completed_age: float = key("7d", duration(), RECYCLE, "Time that a completed job is kept after its end. 0: no limit.")
    completed_count: int = key(1_000_000, whole(0, 10**9, "jobs"), RECYCLE, "Maximum number of completed jobs to keep, those stored last. 0: no limit.")
    failed_age: float = key("30d", duration(), RECYCLE, "Time that a failed job is kept after its end. 0: no limit.")
    failed_count: int = key(1_000_000, whole(0, 10**9, "jobs"), RECYCLE, "Maximum number of failed jobs to keep, those stored last. 0: no limit.")
    timeout_age: float = key("30d", duration(), RECYCLE, "Time that a timed out job is kept after its end. 0: no limit.")
    timeout_count: int = key(1_000_000, whole(0, 10**9, "jobs"), RECYCLE, "Maximum number of timed out jobs to keep, those stored last. 0: no limit.")
    cancelled_age: float = key("7d", duration(), RECYCLE, "Time that a cancelled job is kept after its end. 0: no limit.")
    cancelled_count: int = key(1_000_000, whole(0, 10**9, "jobs"), RECYCLE, "Maximum number of cancelled jobs to keep, those stored last. 0: no limit.")

    def of(self, status: str) -> tuple[float, int]:
        """Return for how many seconds, and how many, jobs of a status are kept; 0 is no limit."""
        return getattr(self, f"{status}_age"), getattr(self, f"{status}_count")


class RetryConfig(Table):
    """Delays between the attempts of jobs that have no `retry` and no `retry_delay`."""

    first: float = key("0s", duration(), RECYCLE, "Delay after the first attempt. 0: jobs are tried again at once.")
    factor: float = key(2, number(1, 1000), RECYCLE, "Factor between a delay and the next one.")
    longest: float = key("1h", duration(), RECYCLE, "Maximum delay.")
    jitter: float = key(0.2, number(0, 1), RECYCLE, "Fraction by which a delay varies at random; 0.2 is up to 20 % less or more.")


class CodeConfig(Table):
    """The code of the jobs: its location and its environment.

    `environment` holds what workers get: the variables of `environment_file`, then those of
    the table itself, which win.
    """

    _HIDDEN = ("environment",)  # its values are secrets

    python_path: tuple[Path, ...] = key(["."], list_of(PATH), RECYCLE, "Directories at the front of Python's module path.")
    imports: tuple[str, ...] = key([], list_of(MODULE), RECYCLE, "Modules that each worker imports before its first job; if an import fails, the worker does not start.")
    hooks: str | None = key("", optional(MODULE, ""), RECYCLE, "Module with `before_job`, `after_job`, `worker_start` or `worker_stop`; each worker imports it before `imports`.")
    environment_file: Path | None = key("", optional(PATH, ""), RECYCLE, "File with NAME=value lines for the environment of the workers.")
    environment: Mapping[str, str] = key({}, VARIABLE_VALUE, RECYCLE, "Variables for the environment of the workers; they override those of `environment_file`.", is_table=True)


class LogConfig(Table):
    """The log: its level, its format and its file."""

    level: str = key("info", choice("debug", "info", "warning", "error", "critical"), LIVE, "Minimum log level.")
    format: str = key("auto", choice("auto", "json", "console"), RECYCLE, "Format of a line: `json` is an object, `console` a short text; `auto` is `console` on a terminal and otherwise `json`.")
    file: Path | None = key("", optional(PATH, ""), RESTART, "Log file, reopened on SIGUSR1; by default standard error for `run`, and a file in `runtime_dir` for `start`.")
    jobs_per_second: int = key(5, whole(0, 1_000_000), RECYCLE, "Maximum number of log lines for successful jobs per second and worker; further jobs are only counted. 0: no limit.")
    max_size: int = key(0, byte_size(), LIVE, "Size, at least 64 KiB, at which the log file is renamed to .1 and a new one is started. 0: no rotation.")
    keep: int = key(5, whole(1, 1000), LIVE, "Number of renamed files to keep.")


class SecurityConfig(Table):
    """The functions that jobs may call."""

    allow: tuple[str, ...] = key(["*"], list_of(PATTERN, required="an empty list would allow no job at all"), RECYCLE, 'Patterns of "module.function", or of the path of a script if they begin with "/"; other functions are refused before any import.')


class PoolConfig(Table):
    """Workers that serve the same queues under the same limits."""

    name: str
    size: int = key(4, whole(0, 1000, "workers"), LIVE, "Number of workers. 0: a pool without workers.")
    queues: tuple[str, ...] = key(["*"], QUEUES, RECYCLE, 'Queues that the workers serve; "*" is every queue, "!name" excludes one.')
    timeout_grace: float = key("2s", duration(0, HOUR), LIVE, "Time between interrupting an overrunning job and killing its process tree.")
    timeout_limit: float | None = key("none", optional(duration(0.001), "none"), RECYCLE, "Upper limit of every job's timeout; jobs without one get it.")
    memory_limit: int | None = key("none", optional(byte_size(MIB), "none"), RECYCLE, "Upper limit of every job's memory limit, for its whole process tree; jobs without one get it.")
    boot_timeout: float = key("30s", duration(0.1, HOUR), LIVE, "Time limit of a new worker for its imports and for opening the database.")
    record_timeout: float = key("2m", duration(1, DAY), LIVE, "Time after which a worker is replaced if it cannot record an outcome or claim a job.")
    hang_timeout: float = key("1m", duration(1, DAY), LIVE, "Time after which an idle worker, or the recorder, is replaced if it makes no progress.")
    recycle_after_jobs: int = key(0, whole(0, 10**9, "jobs"), RECYCLE, "Number of jobs after which a worker is replaced. 0: no limit.")
    recycle_after_age: float = key("0s", duration(), RECYCLE, "Age at which a worker is replaced, after its current job. 0: no limit.")
    recycle_above_memory: int = key(0, byte_size(), RECYCLE, "Memory of the worker process above which it is replaced, after its current job. 0: no limit.")
    retry_first: float | None = key("none", optional(duration(), "none"), RECYCLE, "As `retry.first`, for this pool; by default the same value.")
    retry_factor: float | None = key("none", optional(number(1, 1000), "none"), RECYCLE, "As `retry.factor`, for this pool; by default the same value.")
    retry_longest: float | None = key("none", optional(duration(), "none"), RECYCLE, "As `retry.longest`, for this pool; by default the same value.")
    retry_jitter: float | None = key("none", optional(number(0, 1), "none"), RECYCLE, "As `retry.jitter`, for this pool; by default the same value.")
    allowed_leaks: tuple[str, ...] = key([], list_of(LEAK), RECYCLE, "State that a job may change and leave; it is neither compared nor restored.", formerly="allowed_residue")
    keep_output: int = key("64 KiB", byte_size(0, MIB), RECYCLE, "Maximum size of the output that is stored with an attempt; of a longer output the end is stored. 0: none.")
    nice: int = key(0, whole(-20, 19), RECYCLE, "Scheduling priority of the workers, as for nice(1); below 0 needs root.")

    def __init__(self, name: str, **values: Any) -> None:
        super().__init__(**values)
        vars(self)["name"] = name
# fmt: on


class Config(Record):
    """A whole, checked configuration; every path in it is absolute."""

    source: Path | None
    daemon: DaemonConfig
    queue: QueueConfig
    retention: RetentionConfig
    retry: RetryConfig
    code: CodeConfig
    log: LogConfig
    security: SecurityConfig
    pools: tuple[PoolConfig, ...]

    @property
    def database_file(self) -> Path | None:
        """The database, when it is a file; None for an address of PostgreSQL."""
        return None if is_address(self.queue.database) else Path(self.queue.database)

    @property
    def place(self) -> Path:
        """The path beside which the daemon keeps its run locks and pipes: usually the database."""
        return self.database_file or self.daemon.runtime_dir / "queue"

    def retry_of(self, pool: str) -> tuple[float, float, float, float]:
        """Return the values of `gigq.Retry` for the jobs of a pool: its own, or the general ones.

        Args:
            pool: its name; one that does not exist has the general values.
        """
        found = next((one for one in self.pools if one.name == pool), None)

        def value(name: str) -> float:
            own: float | None = getattr(found, f"retry_{name}", None)
            general: float = getattr(self.retry, name)
            return general if own is None else own

        return value("first"), value("factor"), value("longest"), value("jitter")

    def keep_output_of(self, pool: str) -> int:
        """Return the number of bytes that are kept of an output; 0 for a pool that is missing."""
        return next((one.keep_output for one in self.pools if one.name == pool), 0)


TABLES: Mapping[str, type[Table]] = {
    "daemon": DaemonConfig,
    "queue": QueueConfig,
    "retention": RetentionConfig,
    "retry": RetryConfig,
    "code": CodeConfig,
    "log": LogConfig,
    "security": SecurityConfig,
}

DOTTED = [f"{name}.{key}" for name, table in TABLES.items() for key in table.KEYS]
"""Every key outside pools, as "table.key"."""
