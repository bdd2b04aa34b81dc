"""The keeper: the only helper that writes the books for others."""

from __future__ import annotations

import select
import signal
import time
from collections import deque
from typing import TYPE_CHECKING, Any

from gigq import clock
from gigq.errors import SchemaTooNew, StoreCorrupt, StoreError, UnsupportedStore
from gigq.status import JobStatus
from gigq.store import bell, checkpoint, claims, liveness, migrate
from gigq.store.connect import open_connection
from gigq.store.database import Database
from gigqd import exits, logs
from gigqd.roles.keeper_endings import ending_of, ending_of_lost
from gigqd.scoreboard import Activity, Report
from gigqd.verdicts import Verdict
from gigqd.wire import Wire

if TYPE_CHECKING:
    from gigq.claim import Settled
    from gigqd.spawn import Birth

log = logs.get_logger("gigqd.keeper")

_LOOK_EVERY = 0.25
_TIDY_EVERY = 5.0
_CANCELS_EVERY = 1.0
_PATIENCE = 1.0
_RETRY_FIRST = 0.1
_RETRY_LONGEST = 5.0


def main(birth: Birth) -> int:
    """Keep the books until told to leave.

    Returns:
        The exit code.
    """
    keeper = Keeper(birth)
    birth.cell.write(Report(Activity.IDLE, since=time.monotonic()))
    keeper.tell({"up": True})
    return keeper.run()


class Keeper:
    """Writes what nobody else can.

    1. Settles what dead runs have left open, before the first claim.
    2. Settles the executions of dead workers, as the supervisor's verdicts say.
    3. Rings the bell for what came due, or was written, without a ring.
    4. Keeps the write-ahead log short.

    A database that cannot be used is tried again and again; nothing it was told is forgotten.
    """

    def __init__(self, birth: Birth) -> None:
        self._birth = birth
        self._path = birth.config.queue.database
        self._run = birth.tag.run
        self._wire = Wire(birth.channel)
        self._poll = select.poll()  # unlike select(), it takes any descriptor
        self._poll.register(self._wire, select.POLLIN)
        self._database = Database(lambda: open_connection(self._path), _PATIENCE)
        self._verdicts: deque[tuple[int, Verdict]] = deque()
        self._ready = False
        self._leaving = False
        self._retry = _RETRY_FIRST
        self._retry_at = 0.0
        # An earlier keeper may have told of trouble: what this one finds is told in any case.
        self._trouble: str | None = ""
        self._tidy_at = 0.0
        self._seen_version = 0
        self._cancels: list[str] | None = None
        self._cancels_at = 0.0

    def run(self) -> int:
        """Do the duties until told to leave with nothing left to settle.

        Returns:
            The exit code.
        """
        signal.signal(signal.SIGTERM, self._told_by_signal)
        for number in (signal.SIGINT, signal.SIGHUP):
            signal.signal(number, _ignore)
        while not (self._leaving and not self._verdicts):
            self._birth.cell.write(Report(Activity.IDLE, since=time.monotonic()))
            self._work()
            self._listen()
            if self._wire.ended:
                return exits.WORKER_PARENT_GONE
        return exits.WORKER_DONE

    def tell(self, message: dict[str, Any]) -> None:
        """Send a message to the supervisor."""
        self._wire.send(message)

    # --- one turn ----------------------------------------------------------------------------

    def _work(self) -> None:
        if time.monotonic() < self._retry_at:
            return
        try:
            self._do_duties()
        except (SchemaTooNew, UnsupportedStore, StoreCorrupt) as error:
            self._give_up(error)
        except (StoreError, OSError) as error:
            self._note_trouble(str(error), hold=False)
        else:
            self._note_trouble(None, hold=False)

    def _do_duties(self) -> None:
        if not self._ready:
            migrate.apply(self._database)
            settled = self._settle_dead_runs()
            self._ready = True
            self.tell({"ready": settled})
        while self._verdicts:
            number, verdict = self._verdicts[0]
            self._settle_verdict(number, verdict)
            self._verdicts.popleft()
        self._ring_for_unheard()
        self._relay_cancels()
        self._tidy()

    def _listen(self) -> None:
        """Wait for a message, no longer than until the next look is due."""
        wait = self._retry_at - time.monotonic() if self._trouble else _LOOK_EVERY
        self._poll.poll(max(0.0, wait) * 1000)
        for message in self._wire.receive():
            if message.get("leave"):
                self._leaving = True
            elif "verdict" in message:
                number = message.pop("verdict")
                self._verdicts.append((number, Verdict(**message)))
        self._wire.flush()

    # --- settling ----------------------------------------------------------------------------

    def _settle_dead_runs(self) -> int:
        """Settle what is open under a run that nobody keeps alive: it was lost with its process."""
        settled = 0
        for execution in claims.open_executions(self._database):
            run = execution["run"]
            if run == self._run or run is None or liveness.is_alive(self._path, run):
                continue
            ending = ending_of_lost(execution)
            if done := claims.settle(self._database, execution["execution_id"], ending):
                settled += 1
                log.warning("job_lost", job_id=done.job_id, execution=done.execution_id, run=run)
                self._ring_after(done)
        return settled

    def _settle_verdict(self, number: int, verdict: Verdict) -> None:
        """Settle every execution that the dead worker still held; there may be none."""
        ending = ending_of(verdict)
        outcomes = []
        for execution in claims.open_executions(self._database):
            if (execution["run"], execution["worker_id"]) != (self._run, verdict.worker_id):
                continue
            done = claims.settle(self._database, execution["execution_id"], ending)
            if done is not None:
                outcomes.append(done)
                self._ring_after(done)
        self.tell({"settled": number, "worker": verdict.worker_id, **_told(outcomes, verdict)})

    def _ring_after(self, done: Settled) -> None:
        due_again = done.job_status is JobStatus.PENDING and not done.retry_after
        for _ in range(min(done.released + due_again, 8)):
            bell.ring(self._path)

    # --- housekeeping ------------------------------------------------------------------------

    def _ring_for_unheard(self) -> None:
        """Wake a worker for rows that foreign SQL wrote and for jobs whose time has come."""
        connection = open_connection(self._path)
        (version,) = connection.execute("PRAGMA data_version").fetchone()
        due_at = claims.next_due_at(self._database, None)
        if version != self._seen_version or (due_at is not None and due_at <= clock.utc_now()):
            self._seen_version = version
            self._cancels_at = 0.0
            if due_at is not None or claims.anything_due(self._database):
                bell.ring(self._path)

    def _relay_cancels(self) -> None:
        """Tell which running jobs of this daemon are to be cancelled, whenever that changes."""
        now = time.monotonic()
        if now < self._cancels_at:
            return
        self._cancels_at = now + _CANCELS_EVERY
        requests = claims.cancel_requests(self._database)
        cancels = sorted(row["execution_id"] for row in requests if row["run"] == self._run)
        if cancels != self._cancels:
            self._cancels = cancels
            self.tell({"cancel": cancels})

    def _tidy(self) -> None:
        now = time.monotonic()
        long = checkpoint.wal_size(self._path) >= checkpoint.LONG
        if long or now >= self._tidy_at:
            self._tidy_at = now + _TIDY_EVERY
            if checkpoint.wal_size(self._path):
                checkpoint.shorten(open_connection(self._path))

    # --- trouble -----------------------------------------------------------------------------

    def _note_trouble(self, trouble: str | None, *, hold: bool) -> None:
        """Tell the supervisor when trouble begins, changes and ends; try again later and later."""
        if trouble is not None:
            self._retry_at = time.monotonic() + self._retry
            self._retry = min(_RETRY_LONGEST, self._retry * 2)
        else:
            self._retry = _RETRY_FIRST
        if trouble != self._trouble:
            self._trouble = trouble
            self.tell({"trouble": trouble, "hold": hold})

    def _give_up(self, error: StoreError) -> None:
        """Before the daemon is up this ends it; afterwards it is trouble like any other."""
        code = exits.BAD_CONFIG if isinstance(error, SchemaTooNew | UnsupportedStore) else 70
        if not self._ready:
            self.tell({"failed": str(error), "code": code})
        self._note_trouble(str(error), hold=True)

    def _told_by_signal(self, _number: int, _frame: object) -> None:
        self._leaving = True


def _told(outcomes: list[Settled], verdict: Verdict) -> dict[str, Any]:
    if not outcomes:
        return {"cause": verdict.cause, "job_id": None}
    done = outcomes[0]
    return {
        "cause": verdict.cause,
        "job_id": done.job_id,
        "execution": done.execution_id,
        "status": done.job_status.value,
        "attempt": done.attempt,
        "killed": verdict.killed,
        "late_ms": round(verdict.late * 1000, 1),
    }


def _ignore(_number: int, _frame: object) -> None:
    """A handler instead of SIG_IGN, which would be inherited by whatever is executed."""
