"""The keys of a pool: what its workers serve, their limits, and when they are replaced."""

from dataclasses import KW_ONLY, dataclass, field

from gigq.served_queues import EVERY
from gigqd.config import kinds
from gigqd.config.keys import LEFT_BEHIND, Effect, about, queues
from gigqd.config.kinds import DAY, HOUR

LIVE, RECYCLE = Effect.LIVE, Effect.RECYCLE


@dataclass(frozen=True, slots=True)
class PoolConfig:
    """Some workers that serve the same queues under the same limits."""

    name: str
    _: KW_ONLY
    size: int = field(
        default=4,
        metadata=about(
            kinds.whole(0, 1000, "workers"),
            LIVE,
            "Number of workers; 0 keeps the pool without any.",
        ),
    )
    queues: tuple[str, ...] = field(
        default=(EVERY,),
        metadata=about(
            queues(),
            RECYCLE,
            'Queues whose jobs these workers claim; "*" is every queue, "!name" not that one.',
        ),
    )
    timeout_grace: float = field(
        default=2.0,
        metadata=about(
            kinds.duration(0.0, HOUR),
            LIVE,
            "Time between asking an overrunning job to end and killing its process tree.",
        ),
    )
    timeout_limit: float | None = field(
        default=None,
        metadata=about(
            kinds.optional(kinds.duration(0.001), "none"),
            RECYCLE,
            "Longest a job may run whatever its own timeout says, also when it has none.",
        ),
    )
    memory_limit: int | None = field(
        default=None,
        metadata=about(
            kinds.optional(kinds.size(1024**2), "none"),
            RECYCLE,
            "Most memory the process tree of a job may use, whatever its own limit says.",
        ),
    )
    boot_timeout: float = field(
        default=30.0,
        metadata=about(
            kinds.duration(0.1, HOUR),
            LIVE,
            "How long a new worker may take to import its modules and open the database.",
        ),
    )
    record_timeout: float = field(
        default=120.0,
        metadata=about(
            kinds.duration(1.0, DAY),
            LIVE,
            "How long a worker may take to record an outcome, or fail to claim a job, before it "
            "is replaced.",
        ),
    )
    hang_timeout: float = field(
        default=60.0,
        metadata=about(
            kinds.duration(1.0, DAY),
            LIVE,
            "How long an idle worker, or the keeper, may stand still before it is replaced.",
        ),
    )
    recycle_after_jobs: int = field(
        default=0,
        metadata=about(
            kinds.whole(0, 10**9, "jobs"),
            RECYCLE,
            "Replace a worker after this many jobs; 0 is never.",
        ),
    )
    recycle_after_age: float = field(
        default=0.0,
        metadata=about(
            kinds.duration(0.0),
            RECYCLE,
            "Replace a worker that has lived this long, after its current job; 0 is never.",
        ),
    )
    recycle_above_memory: int = field(
        default=0,
        metadata=about(
            kinds.size(0),
            RECYCLE,
            "Replace a worker whose own memory is above this after a job; 0 is never.",
        ),
    )
    allowed_residue: tuple[str, ...] = field(
        default=(),
        metadata=about(
            kinds.list_of(LEFT_BEHIND),
            RECYCLE,
            "What a job may leave behind: neither put back nor compared.",
        ),
    )
    keep_output: int = field(
        default=64 * 1024,
        metadata=about(
            kinds.size(0, 1024**2),
            RECYCLE,
            "How much of a job's output is kept with its attempt: its end; 0 is nothing.",
        ),
    )
    nice: int = field(
        default=0,
        metadata=about(
            kinds.whole(-20, 19),
            RECYCLE,
            "Scheduling priority of the workers; below 0 needs root.",
        ),
    )
