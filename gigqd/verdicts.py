"""A verdict: what became of a dead worker, for the keeper to write down."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Verdict:
    """What the supervisor knows of a worker's end.

    Attributes:
        worker_id: the dead incarnation; all it still holds is settled by this verdict.
        cause: "timeout", "crashed", "stopped" or "boot".
        how: how the process ended, in words.
        exit_code: its exit code, when it had one.
        signal: the name of the signal that ended it, when one did.
        stack: the stacks of its threads at the deadline, empty when not dumped.
        output: the last of what its job wrote.
        limit: the job's time limit in seconds, 0.0 when it had none.
        late: how long after the deadline and grace the first SIGKILL was sent, in seconds.
        killed: how many processes of its tree were sent SIGKILL.
    """

    worker_id: str
    cause: str
    how: str
    exit_code: int | None = None
    signal: str | None = None
    stack: str = ""
    output: str = ""
    limit: float = 0.0
    late: float = 0.0
    killed: int = 0
