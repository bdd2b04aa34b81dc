"""The claims that a worker thread holds, and how many short jobs it claims and settles at once."""

from __future__ import annotations

import math
import resource
from collections import deque
from typing import TYPE_CHECKING, Any

from gigq.model.claim import Finished, SettleBatch
from gigq.model.job_status import JobStatus

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from gigq.model.claim import Claim, Settled
    from gigq.model.execution_result import ExecutionResult, PostMortem

    SettledClaim = tuple[Claim, Settled | None, Finished | None]

HELD_BACK = 0.006
"""Seconds that an outcome may wait, so that later ones are recorded with it."""

_HELD_BACK_MOST = 0.05
"""The same where an exchange with the database takes long: then twice its time, up to this."""

_STALE_AFTER = 0.1
"""Seconds after which a claim that has not started is released: much may have happened since."""

_TOGETHER = 0.004
"""Seconds that the jobs of a batch may take together."""

_TOGETHER_MOST = 0.025
"""The same where an exchange with the database takes long: then as long as that, up to this.

Otherwise a worker does little else with many workers for few processors, or a slow disk or network.
"""

_MOST_AFTER_FAILURES = 64
_SHORT = 0.001
_WEIGHT = 0.1
_GROWTH = 2
_MOST_OF_THE_MEAN = 8
"""A preempted run that was not measured counts as at most this many times the known mean."""

_MOST_FUNCTIONS = 1000


class HeldClaims:
    """The claims of one thread, from the claim until their settling is reported.

    Times are in seconds of the monotonic clock.
    """

    def __init__(self) -> None:
        self._waiting: deque[Claim] = deque()
        self._finished: list[Finished] = []
        self._settled: list[SettledClaim] = []
        self._claimed_at = 0.0
        self._first_finished_at = 0.0

    def __len__(self) -> int:
        return len(self._waiting) + len(self._finished)

    def release(self) -> SettleBatch:
        """Return all held claims, to be settled or released.

        A claim that has not started is never started after this: even where the database reports
        an error it may have released the claims, and other workers may run those jobs now.
        """
        self._claimed_at = -math.inf
        return SettleBatch(tuple(self._finished), tuple(self._waiting))

    @property
    def has_failures(self) -> bool:
        """True when a finished claim did not complete its job."""
        return any(one.result.status is not JobStatus.COMPLETED for one in self._finished)

    @property
    def finished(self) -> SettleBatch:
        """The finished claims alone; those that have not started are kept."""
        return SettleBatch(tuple(self._finished))

    def add(self, claims: Iterable[Claim], now: float) -> None:
        """Hold claims that were just made, to be run in this order."""
        self._waiting.extend(claims)
        self._claimed_at = now

    def next(self) -> Claim | None:
        """Take out the claim to run next; None when there is none."""
        return self._waiting.popleft() if self._waiting else None

    def put_back(self, claim: Claim) -> None:
        """Hold a claim again that was taken out and did not start."""
        self._waiting.appendleft(claim)

    def first(self, now: float) -> Claim | None:
        """Return the claim to run next, if it is recent enough to be started."""
        fresh = self._waiting and now - self._claimed_at < _STALE_AFTER
        return self._waiting[0] if fresh else None

    def finish(
        self, claim: Claim, result: ExecutionResult, now: float, seconds: float = 0.0
    ) -> None:
        """Hold the result of a claim until it is settled; `seconds` is its duration."""
        if not self._finished:
            self._first_finished_at = now
        self._finished.append(Finished(claim, result, seconds))

    def is_overdue(self, now: float, exchange: float) -> bool:
        """Return True when a result has been held back for as long as it may be.

        Args:
            now: the time.
            exchange: the duration of the last exchange with the database.
        """
        longest = max(HELD_BACK, min(2 * exchange, _HELD_BACK_MOST))
        return bool(self._finished) and now - self._first_finished_at >= longest

    def result_of(self, execution_id: str) -> ExecutionResult | None:
        """Return the result of a finished execution that is not settled yet."""
        found = (one.result for one in self._finished if one.claim.execution_id == execution_id)
        return next(found, None)

    def change(self, execution_id: str, result: ExecutionResult) -> None:
        """Give a finished execution another result."""
        self._finished = [
            one._replace(result=result) if one.claim.execution_id == execution_id else one
            for one in self._finished
        ]

    def note_settled(self, batch: SettleBatch, done: Sequence[Settled | None]) -> None:
        """Stop holding a batch; `done` says what settling each of its claims did."""
        ended = len(batch.finished)
        self._finished = self._finished[ended:]
        for _ in batch.released:
            self._waiting.popleft()
        self._settled += (
            (one.claim, settled, one)
            for one, settled in zip(batch.finished, done[:ended], strict=True)
        )
        self._settled += (
            (claim, settled, None)
            for claim, settled in zip(batch.released, done[ended:], strict=True)
        )

    def take_settled(self) -> list[SettledClaim]:
        """Return what was settled since the last call: claim, effect, and the finished claim.

        The last of the three is None for a claim that was released.
        """
        settled, self._settled = self._settled, []
        return settled


def preemptions() -> int:
    """Return the number of involuntary context switches of the calling thread.

    The end of a time slice on a busy host is one, and so is the end of a quota. A thread that
    sleeps or waits gives up the processor voluntarily, which is not counted.
    """
    return resource.getrusage(resource.RUSAGE_THREAD).ru_nivcsw


class BatchSizing:
    """Mean run times of functions, and the batch size that follows. Times are in seconds.

    Args:
        most: maximum number of jobs in a batch; 1 for always one at a time.
        preemptions: returns how many times the kernel has preempted the calling thread.
    """

    def __init__(self, most: int, preemptions: Callable[[], int] = preemptions) -> None:
        self._most = most
        self._preemptions = preemptions
        self._preempted_before = preemptions()
        self._grown = 0
        self._mean = _TOGETHER
        self._of_function: dict[tuple[str, str], float] = {}
        self._excused: set[tuple[str, str]] = set()

    def size(self, exchange: float, *, has_failures: bool = False) -> int:
        """Return the number of jobs to claim now: twice the last one, while jobs are short.

        Args:
            exchange: the duration of the last exchange with the database.
            has_failures: True when a job of the last batch did not complete. Such outcomes are
                recorded one at a time, while the jobs of the batch are locked.
        """
        together = max(_TOGETHER, min(exchange, _TOGETHER_MOST))
        most = min(self._most, _MOST_AFTER_FAILURES) if has_failures else self._most
        fitting = max(1, min(most, int(together / self._mean)))
        self._grown = min(self._grown * _GROWTH or 1, fitting)
        return self._grown

    def rest(self) -> None:
        """Note that no job was due: the next claim takes one job."""
        self._grown = 0

    def fits(self, row: Mapping[str, Any]) -> bool:
        """Return True when the function that a row names is known to be short."""
        return self._is_short(row["function_module"], row["function_name"])

    def is_short(self, claim: Claim) -> bool:
        """Return True when the function of a claim is known to be short."""
        return self._is_short(claim.function.module, claim.function.name)

    def _is_short(self, module: str, name: str) -> bool:
        return self._of_function.get((module, name), math.inf) <= _SHORT

    def ran(self, claim: Claim, seconds: float, measured: PostMortem | None = None) -> None:
        """Add one run to the means.

        Args:
            claim: the job.
            seconds: its duration.
            measured: its measurements, if there are any.
        """
        if self._most == 1:
            return
        key = (claim.function.module, claim.function.name)
        known = self._of_function.get(key)
        if known is not None and seconds > _SHORT:
            seconds = self._without_preemption(key, seconds, known, measured)
        elif self._excused:
            self._excused.discard(key)
        self._mean += _WEIGHT * (seconds - self._mean)
        if known is None and len(self._of_function) >= _MOST_FUNCTIONS:
            self._of_function.clear()
            self._excused.clear()
        self._of_function[key] = seconds if known is None else known + _WEIGHT * (seconds - known)

    def _without_preemption(
        self, key: tuple[str, str], seconds: float, known: float, measured: PostMortem | None
    ) -> float:
        """Return the processor time of a preempted run, but not for two runs in a row.

        A function that sleeps uses little of it, and must become known to be long.
        """
        if not self._was_preempted() or key in self._excused:
            self._excused.discard(key)
            return seconds
        self._excused.add(key)
        cpu_time = measured.cpu_time if measured else None
        return min(seconds, _MOST_OF_THE_MEAN * known if cpu_time is None else cpu_time)

    def _was_preempted(self) -> bool:
        """Return True when the thread was preempted since the last call, which costs 0.6 us."""
        before, self._preempted_before = self._preempted_before, self._preemptions()
        return self._preempted_before != before
