"""One submitter: a process of an application, which may be killed at any moment.

Run as `python -m torture.submitter HOME DATABASE NAME NUMBER SEED PACE LENGTHY`; it ends when
HOME/quiet exists. With a further number it submits that many jobs at once, which all overrun
together, and ends.
"""

from __future__ import annotations

import heapq
import os
import signal
import sys
import time
from collections import deque
from contextlib import suppress
from pathlib import Path
from random import Random

from torture import ledger as ledgers
from torture.kinds import (
    Spec,
    draw,
    draw_family,
    from_fields,
    many,
    to_fields,
    to_job,
)

from gigq import GigqError, JobQueue, JobStatus
from gigq.model.job_status import FINISHED

_MOST_OUTSTANDING = 25
_FORGET_AFTER = 20.0
_LOOKS = 3


class Submitter:
    """Submits, submits again, cancels, and looks at what became of it; all of it is noted.

    Args:
        home: the run's directory.
        database: the queue.
        name: the submitter's name, and how many of that name there were before.
        rng: its dice.
        pace: how many submits a second, on average.
        lengthy: the share of jobs that outlast the usual ones by far.
    """

    def __init__(
        self, home: Path, database: str, name: str, rng: Random, pace: float, lengthy: float
    ) -> None:
        self._home = home
        self._name = name
        self._rng = rng
        self._pace = pace
        self._lengthy = lengthy
        self._ledger = str(home / "ledger")
        self._queue = JobQueue(database, initialize=False)
        self._count = 0
        self._outstanding: deque[tuple[str, float]] = deque()
        self._known: list[tuple[str, Spec]] = []
        self._to_cancel: list[tuple[float, str, bool]] = []

    def run(self) -> None:
        """Go on until it is quiet."""
        parent = os.getppid()
        self._answer_what_was_left_open()
        while not (self._home / "quiet").exists() and os.getppid() == parent:
            self._look()
            self._cancel_what_is_due()
            if len(self._outstanding) < _MOST_OUTSTANDING:
                with suppress(GigqError):  # the database is not there, or not complete yet
                    self._act()
            time.sleep(self._rng.expovariate(self._pace))

    def submit_at_once(self, count: int) -> None:
        """Submit one batch of jobs for the third pool that nothing but SIGKILL ends."""
        ids = [self._new_id() for _ in range(count)]
        self._submit([(job_id, many(ids[0])) for job_id in ids])

    def _act(self) -> None:
        # The store waits for a lock as an application may: shortly, or long.
        self._queue._database.lock_timeout = self._rng.choice((0.3, 2.0, 30.0))
        dice = self._rng.random()
        if dice < 0.05 and self._known:
            self._submit([self._rng.choice(self._known)])
        elif dice < 0.12:
            ids = [self._new_id() for _ in range(self._rng.randint(3, 7))]
            self._submit(draw_family(self._rng, ids))
        else:
            self._submit([(self._new_id(), draw(self._rng, self._lengthy))])

    # --- submitting ------------------------------------------------------------------------------

    def _submit(self, batch: list[tuple[str, Spec]]) -> None:
        fatal = self._rng.random() < 0.02
        for job_id, spec in batch:
            if spec.delay is not None and spec.not_before is None:
                spec.not_before = time.time() + spec.delay
            ledgers.note(self._ledger, "intent", job=job_id, **to_fields(spec))
        if fatal:
            # The alarm has its default effect: it ends this process, wherever it is by then.
            signal.setitimer(signal.ITIMER_REAL, self._rng.uniform(0.0001, 0.008))
        try:
            self._queue.submit_many([to_job(id_, spec, self._ledger) for id_, spec in batch])
        except GigqError as error:
            self._note_all(batch, "refused", error=f"{type(error).__name__}: {error}")
            return
        finally:
            if fatal:
                signal.setitimer(signal.ITIMER_REAL, 0)
        self._note_all(batch, "accepted")
        self._remember(batch)

    def _note_all(self, batch: list[tuple[str, Spec]], what: str, **fields: str) -> None:
        for job_id, _ in batch:
            ledgers.note(self._ledger, what, job=job_id, **fields)

    def _remember(self, batch: list[tuple[str, Spec]]) -> None:
        now = time.monotonic()
        for job_id, spec in batch:
            self._outstanding.append((job_id, now))
            if spec.cancel is not None:
                due = now + spec.cancel_after
                heapq.heappush(self._to_cancel, (due, job_id, spec.cancel == "running"))
        if len(batch) == 1:
            self._known = [*self._known[-50:], batch[0]]

    def _answer_what_was_left_open(self) -> None:
        """Submit again what the one before this of the same name got no answer for."""
        mine = f"{self._name.partition('.')[0]}."
        lines, _ = ledgers.read(Path(self._ledger), about=f'"{mine}')
        answered = {line.job for line in lines if line.what in ("accepted", "refused")}
        left: dict[str, list[tuple[str, Spec]]] = {}
        for line in lines:
            if line.what != "intent" or line.job in answered or not str(line.job).startswith(mine):
                continue
            spec = from_fields(line.data)
            left.setdefault(spec.batch or str(line.job), []).append((str(line.job), spec))
        for batch in left.values():
            if self._rng.random() < 0.8:
                self._submit(list(dict(batch).items()))

    def _new_id(self) -> str:
        self._count += 1
        return f"{self._name}.{self._count}"

    # --- afterwards ------------------------------------------------------------------------------

    def _cancel_what_is_due(self) -> None:
        while self._to_cancel and self._to_cancel[0][0] <= time.monotonic():
            _, job_id, running = heapq.heappop(self._to_cancel)
            ledgers.note(self._ledger, "asking", job=job_id, running=running)
            try:
                done = self._queue.cancel(job_id, running=running)
            except GigqError as error:
                ledgers.note(self._ledger, "unanswered", job=job_id, error=str(error))
            else:
                fields = {"running": running, "cancelled": done}
                ledgers.note(self._ledger, "answer", job=job_id, **fields)

    def _look(self) -> None:
        for _ in range(min(_LOOKS, len(self._outstanding))):
            job_id, since = self._outstanding.popleft()
            try:
                found = self._queue.get_status(job_id)
            except GigqError:
                found = {"exists": True, "status": JobStatus.PENDING}
            status = JobStatus(found["status"]) if found["exists"] else None
            if status in FINISHED:
                ledgers.note(self._ledger, "seen", job=job_id, status=status.value)
            elif time.monotonic() < since + _FORGET_AFTER:
                self._outstanding.append((job_id, since))


def main() -> None:
    """Be a submitter."""
    home, database, name, number, seed, pace, lengthy, *count = sys.argv[1:]
    full_name = f"{name}.{number}"
    rng = Random(f"{seed}/{full_name}")
    submitter = Submitter(Path(home), database, full_name, rng, float(pace), float(lengthy))
    if count:
        submitter.submit_at_once(int(count[0]))
    else:
        submitter.run()


if __name__ == "__main__":
    main()
