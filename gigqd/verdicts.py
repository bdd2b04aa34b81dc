"""A verdict: what became of a dead worker, for the keeper to write down."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Verdict:
    """What the supervisor knows of a worker's end.

    Attributes:
        worker_id: the dead incarnation; all it still holds is settled by this verdict.
        cause: "timeout", "crashed", "memory", "oom", "cancelled", "stopped" or "boot".
        how: how the process ended, in words.
        latest: the id of the execution that it had begun last; empty when it had begun none. Of
            what it still holds, those with a greater id had not begun.
        running: whether that one was still running, or its outcome was just being written down.
        exit_code: its exit code, when it had one.
        signal: the name of the signal that ended it, when one did.
        stack: the stacks of its threads at the deadline, empty when not dumped.
        output: the last of what its job wrote.
        limit: the job's time limit in seconds, 0.0 when it had none.
        late: how long after the deadline and grace the first SIGKILL was sent, in seconds.
        killed: how many processes of its tree were sent SIGKILL.
        wall_time: how long its job had run, in seconds; 0.0 when it ran none.
        cpu_time: the CPU time that the job's processes had used, in seconds.
        peak_memory: the most memory that the job's processes were seen to use, in bytes.
        memory_limit: the most memory that they might use, in bytes; 0 when there was no limit.
    """

    worker_id: str
    cause: str
    how: str
    latest: str = ""
    running: bool = False
    exit_code: int | None = None
    signal: str | None = None
    stack: str = ""
    output: str = ""
    limit: float = 0.0
    late: float = 0.0
    killed: int = 0
    wall_time: float = 0.0
    cpu_time: float = 0.0
    peak_memory: int = 0
    memory_limit: int = 0
