"""The keys of the table `[log]`."""

from dataclasses import dataclass, field
from pathlib import Path

from gigqd.config import kinds
from gigqd.config.keys import OPTIONAL_PATH, Effect, about

LIVE, RECYCLE, RESTART = Effect.LIVE, Effect.RECYCLE, Effect.RESTART


@dataclass(frozen=True, slots=True, kw_only=True)
class LogConfig:
    """The log: how much, in which form and where."""

    level: str = field(
        default="info",
        metadata=about(
            kinds.choice("debug", "info", "warning", "error", "critical"),
            LIVE,
            "Least level that is written.",
        ),
    )
    format: str = field(
        default="auto",
        metadata=about(
            kinds.choice("auto", "json", "console"),
            RECYCLE,
            "One JSON object per line, or text; auto is short lines on a terminal, else json.",
        ),
    )
    file: Path | None = field(
        default=None,
        metadata=about(
            OPTIONAL_PATH,
            RESTART,
            "File to append to, reopened on SIGUSR1; when not set, standard error for "
            "`run`, a file in `runtime_dir` for `start`.",
        ),
    )
    jobs_per_second: int = field(
        default=5,
        metadata=about(
            kinds.whole(0, 1_000_000),
            RECYCLE,
            "Lines for successful jobs, each second and worker; others are summed up; 0 for all.",
        ),
    )
    max_size: int = field(
        default=0,
        metadata=about(
            kinds.size(),
            LIVE,
            "Size, at least 64 KiB, from which the file is renamed to .1 and begun anew; 0: never.",
        ),
    )
    keep: int = field(
        default=5,
        metadata=about(kinds.whole(1, 1000), LIVE, "How many renamed files are kept."),
    )
