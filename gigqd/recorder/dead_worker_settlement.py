"""Settlement for dead runs, dead workers and executions that no worker runs."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

from gigq.execution import job_events, plain_worker_rescue
from gigq.model.retry import Retry
from gigq.store.verbs import settle_and_claim
from gigqd import logs
from gigqd.recorder.result_from_exit import (
    result_of_exit,
    result_of_lost,
    result_of_stray,
    result_of_unrecorded,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from gigq.model.claim import Settled
    from gigq.model.execution_result import ExecutionResult
    from gigq.store.backend import FileBackend
    from gigq.store.database import Database
    from gigq.store.postgres.backend import DaemonBackend
    from gigqd.ipc.exit_record import ExitRecord

log = logs.get_logger(__name__)

_AT_ONCE = Retry(first=0)


class Settlement:
    """Settlement of other processes' executions by the store's verbs, with wakeups for due jobs.

    Args:
        database: the database.
        backend: its wakeups and runs.
        run: the daemon's own run.
        heartbeat: called after each settled execution, as a heartbeat.
        retry_of: returns the delays of a pool's jobs without delays of their own, by its name.
    """

    def __init__(
        self,
        database: Database,
        backend: FileBackend | DaemonBackend,
        run: str,
        heartbeat: Callable[[], None],
        retry_of: Callable[[str], Retry] = lambda _pool: _AT_ONCE,
    ) -> None:
        self._database = database
        self._backend = backend
        self._run = run
        self._heartbeat = heartbeat
        self._retry_of = retry_of

    def dead_runs(self) -> frozenset[str]:
        """Return the runs with open executions whose process is dead, or whose lease has ended."""
        runs = {row["run"] for row in settle_and_claim.open_executions(self._database)}
        others = runs - {self._run, None}
        ended = self._backend.ended_leases(self._database, others)
        return ended | {run for run in others if not self._backend.is_alive(run)}

    def settle_runs(self, runs: frozenset[str]) -> int:
        """Settle the open executions of dead runs; return their number."""
        rows = [
            row for row in settle_and_claim.open_executions(self._database) if row["run"] in runs
        ]
        return sum(self._lost(row, result_of_lost(row)) for row in rows)

    def overdue(self) -> int:
        """Settle overdue executions of GigQ 0.5.1 and plain workers; return their number.

        Only the timeout counts, since a process of 0.5.1 cannot be found.
        """
        return len([self._follow_up(done) for done in plain_worker_rescue.overdue(self._database)])

    def dead_worker(self, record: ExitRecord) -> list[Settled]:
        """Settle every execution that a dead worker still held; there may be none.

        The ids of executions grow in the order in which they start. The one that started last ends
        as the record says. Those before it had ended, but their outcomes are lost: they are run
        again. Those after it were not started and are released.

        Returns:
            The effects, first those of the execution that the record is about.
        """
        held = [row for row in self.own() if row["worker_id"] == record.worker_id]
        held.sort(key=lambda row: row["execution_id"] != record.latest)
        done = [self._conclude(row, record) for row in held if row["execution_id"] <= record.latest]
        done += self._release([row for row in held if row["execution_id"] > record.latest])
        return [one for one in done if one is not None]

    def strays(self, possible_strays: set[str], running: set[str]) -> int:
        """Settle those of `possible_strays` that are still open and that no worker runs."""
        left = [row for row in self.own() if row["execution_id"] in possible_strays - running]
        return sum(self._lost(row, result_of_stray(row)) for row in left)

    def own(self) -> list[dict[str, Any]]:
        """Return the open executions of this daemon."""
        rows = settle_and_claim.open_executions(self._database)
        return [row for row in rows if row["run"] == self._run]

    def _conclude(self, execution: dict[str, Any], record: ExitRecord) -> Settled | None:
        is_meant = execution["execution_id"] == record.latest and record.running
        result = result_of_exit(record) if is_meant else result_of_unrecorded(record)
        # The name of a worker begins with that of its pool: "default/1.5@2604".
        default = self._retry_of(record.worker_id.partition("/")[0])
        result = result._replace(retry=result.retry._replace(default=default))
        seconds = record.wall_time if is_meant else None
        return self._settle(execution, result, seconds)

    def _release(self, executions: list[dict[str, Any]]) -> list[Settled | None]:
        claims = [(row["execution_id"], row["job_id"]) for row in executions]
        done = settle_and_claim.release(self._database, claims) if claims else []
        return [self._follow_up(one) for one in done]

    def _lost(self, execution: dict[str, Any], result: ExecutionResult) -> bool:
        done = self._settle(execution, result)
        if done is None:
            return False
        log.warning(
            "job_lost", job_id=done.job_id, execution=done.execution_id, run=execution["run"]
        )
        return True

    def _settle(
        self, execution: dict[str, Any], result: ExecutionResult, seconds: float | None = None
    ) -> Settled | None:
        run = execution["run"]
        leased = None if run in (None, self._run) or self._backend.sees(run) else run
        done = settle_and_claim.settle(self._database, execution["execution_id"], result, leased)
        if done is not None:
            job_events.ended(done, result, job_events.known_of(execution, done), seconds)
        return self._follow_up(done)

    def _follow_up(self, done: Settled | None) -> Settled | None:
        self._heartbeat()
        if done is not None:
            self._backend.notify(Counter(done.due_in))
        return done


def outcome_text(outcomes: list[Settled], record: ExitRecord) -> dict[str, Any]:
    """Return the message to the supervisor about a settled exit record."""
    done = outcomes[0] if outcomes else None
    if done is None or done.execution_id != record.latest:
        return {"cause": record.cause, "job_id": None}
    return {
        "cause": record.cause,
        "job_id": done.job_id,
        "execution": done.execution_id,
        "status": done.job_status.value,
        "attempt": done.attempt,
        "killed": record.killed,
        "late_ms": round(record.late * 1000, 1),
    }
