"""The exit record: how a child process ended, for the recorder to settle its executions by."""

from __future__ import annotations

from typing import Any, NamedTuple

from gigq.model.cause import Cause
from gigqd import exit_codes


class ExitRecord(NamedTuple):
    """The end of a process, and the facts about the job that it ran.

    The reaper fills in the exit code or the signal. When nothing is left of the process tree, the
    supervisor adds the rest. Sizes are in bytes, times in seconds.

    Attributes:
        exit_code: its exit code; None when a signal ended it.
        signal: the name of the signal that ended it, if any.
        cause: the cause of its job's end without success; None when the process exited as ordered.
        worker_id: the worker that died; the record settles all executions that it still holds.
        latest: the id of the execution that it began last, empty for none. Executions with a
            greater id were claimed and not begun.
        running: True when that execution was running, or its outcome was being recorded.
        own_error: the error of the job, when its retry function was running; else empty.
        stack: the stacks of its threads at the deadline, empty when not dumped.
        output: the end of its job's output.
        limit: the job's time limit, 0.0 when it had none.
        late: from the deadline and grace to the first SIGKILL.
        killed: how many processes of its tree were sent SIGKILL.
        wall_time: how long its job had run, 0.0 when it ran none.
        cpu_time: the CPU time that the job's processes had used.
        peak_memory: the most memory that the job's processes were seen to use.
        memory_limit: the most memory that they might use, 0 for no limit.
    """

    exit_code: int | None = None
    signal: str | None = None
    cause: Cause | None = None
    worker_id: str = ""
    latest: str = ""
    running: bool = False
    own_error: str = ""
    stack: str = ""
    output: str = ""
    limit: float = 0.0
    late: float = 0.0
    killed: int = 0
    wall_time: float = 0.0
    cpu_time: float = 0.0
    peak_memory: int = 0
    memory_limit: int = 0

    def __str__(self) -> str:
        if self.signal is not None:
            return f"killed by {self.signal}"
        if self.exit_code is not None:
            return f"exited with code {self.exit_code}"
        return "ended in a way that could not be seen"

    @classmethod
    def of_message(cls, fields: dict[str, Any]) -> ExitRecord:
        """Return the record whose fields came as JSON."""
        record = cls(**fields)
        return record._replace(cause=record.cause and Cause(record.cause))

    @property
    def is_orderly(self) -> bool:
        """Return True for the exit code of a worker that exits as ordered."""
        return self.exit_code == exit_codes.WORKER_DONE
