"""Recorder process: records outcomes for workers that died, and maintains the database."""

from __future__ import annotations

import signal
import time
from collections import deque
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from gigq import events
from gigq.errors import StoreError
from gigq.model.retry import Retry
from gigqd import exit_codes, logs
from gigqd.host.database_errors import DatabaseError, RetryDelay, database_error_of
from gigqd.ipc.exit_record import ExitRecord
from gigqd.ipc.json_socket import JsonSocket
from gigqd.ipc.scoreboard import Activity, Report
from gigqd.linux import syscalls
from gigqd.linux.signals import ignore
from gigqd.recorder.dead_daemon_settlement import DeadDaemonSettlement
from gigqd.recorder.dead_worker_settlement import Settlement, outcome_text
from gigqd.recorder.maintenance import Maintenance
from gigqd.recorder.own_process import OwnProcess
from gigqd.recorder.polling import IDLE_INTERVAL
from gigqd.recorder.retention import PAUSE, Retention
from gigqd.recorder.storage_of import storage_of

if TYPE_CHECKING:
    from gigqd.process.spawn import ChildContext

_DEAD_RUNS_WITHIN = 5.0
_STRAY_AFTER = 5.0


def main(context: ChildContext) -> int:
    """Run the recorder until the supervisor asks it to exit.

    Returns:
        The exit code.
    """
    events.send_to(logs.LibraryEvents())
    recorder = Recorder(context)
    recorder.heartbeat()
    recorder.report({"up": True})
    return recorder.run()


class Recorder:
    """The main loop of the recorder process.

    1. Settle the open executions of dead runs, before the first claim and after every error of
       the database.
    2. Settle the executions of dead workers, as the supervisor's exit records say.
    3. Maintenance: wake workers for due jobs and for rows of foreign SQL, relay cancel requests,
       and look after the database.
    4. Delete finished jobs that are too old or too many.

    After an error of the database the recorder tries again, and keeps all exit records.
    """

    def __init__(self, context: ChildContext) -> None:
        self._cell = context.cell
        self._json_socket = JsonSocket(context.json_socket)
        self._was_recovered = context.tag.generation > 1
        self._storage = storage_of(
            context, self._json_socket, self.heartbeat, is_there=self._was_recovered
        )
        place = str(context.config.place)
        self._own_process = OwnProcess(self._storage, context.config, context.tag.run, self._cell)
        self._settlement = Settlement(
            self._storage.database,
            self._storage.backend,
            context.tag.run,
            self._settled_one,
            lambda pool: Retry(*context.config.retry_of(pool)),
        )
        served = [pool.queues for pool in context.config.pools]
        self._dead_daemon_settlement = DeadDaemonSettlement(
            self._storage.home_of_run, self._settlement, self.report
        )
        self._maintenance = Maintenance(
            self._storage, place, context.tag.run, served, self._cell.all_reports, self.report
        )
        self._retention = Retention(self._storage, context.config.retention, self.report)
        self._records: deque[tuple[int, ExitRecord]] = deque()
        self._recovered = False
        self._possible_strays: set[str] = set()
        self._settle_strays_at = 0.0
        self._leaving = False
        self._patience = RetryDelay()
        # Differs from all states, so the first is sent: an earlier recorder may have sent another.
        self._database_error: DatabaseError | None = DatabaseError("", pause_claims=False)

    def run(self) -> int:
        """Work until asked to exit and every exit record is settled.

        Returns:
            The exit code.
        """
        signal.signal(signal.SIGTERM, self._on_sigterm)
        for number in (signal.SIGINT, signal.SIGHUP):
            signal.signal(number, ignore)
        while not (self._leaving and not self._records):
            self.heartbeat()
            logs.follow()
            self._work()
            self._listen()
            if self._json_socket.ended:
                return exit_codes.WORKER_PARENT_GONE
        self._close()
        return exit_codes.WORKER_DONE

    def report(self, message: dict[str, Any]) -> None:
        """Send a message to the supervisor."""
        self._json_socket.send(message)

    def heartbeat(self) -> None:
        """Write a heartbeat: the supervisor replaces a recorder that hangs."""
        self._cell.write(Report(Activity.IDLE, since=time.monotonic()))

    def _settled_one(self) -> None:
        """Keep the daemon alive for others, too, while many executions are settled."""
        self.heartbeat()
        self._own_process.renew_if_due()

    # --- one turn ----------------------------------------------------------------------------

    def _work(self) -> None:
        if time.monotonic() < self._patience.until:
            return
        try:
            self._settle_and_maintain()
        except (StoreError, OSError) as error:
            self._note_database_error(database_error_of(error))
        else:
            self._note_database_error(None)

    def _settle_and_maintain(self) -> None:
        if not self._storage.connect() or not self._recovered:
            self._recover()
        self._own_process.renew_if_due()
        self._storage.check()
        while self._records:
            number, record = self._records[0]
            outcomes = self._settlement.dead_worker(record)
            self.report(
                {"settled": number, "worker": record.worker_id, **outcome_text(outcomes, record)}
            )
            self._records.popleft()
        changed = self._maintenance.run_due()
        if self._storage.may_have_open_executions():
            self._dead_daemon_settlement.settle_if_due()
        self._settle_strays()
        self._retention.run_due(changed=changed)
        self._own_process.show()

    def _listen(self) -> None:
        """Receive messages, for which it waits until the next maintenance is due."""
        if self._database_error:
            woken = self._storage.wait(self._patience.until - time.monotonic())
        elif self._retention.is_at_work:
            woken = self._storage.wait(PAUSE)
        else:
            woken = self._storage.sleep(self._maintenance.until_due(IDLE_INTERVAL))
        for message in self._json_socket.receive() if woken else ():
            if message.get("leave"):
                self._leaving = True
            elif "exit" in message:
                number = message.pop("exit")
                self._records.append((number, ExitRecord.of_message(message)))
        self._json_socket.flush()

    # --- recovery ----------------------------------------------------------------------------

    def _recover(self) -> None:
        """Prepare for claims: at the start, after errors, and after the database was replaced."""
        again = self._was_recovered
        self._storage.prepare(again=again)
        self._own_process.begin()
        self._own_process.renew_if_due()
        self._storage.look()
        self._maintenance.begin()
        settled = self._dead_daemon_settlement.settle_dead_runs(_DEAD_RUNS_WITHIN)
        if again:
            self._possible_strays = {row["execution_id"] for row in self._settlement.own()}
            self._settle_strays_at = time.monotonic() + _STRAY_AFTER
        self._recovered = self._was_recovered = True
        self.report({"ready": settled})
        syscalls.release_memory()

    def _settle_strays(self) -> None:
        """Settle the open executions of this daemon that no worker runs.

        A restored backup has such executions, and so has a file that was away while a worker
        settled.
        """
        if self._possible_strays and time.monotonic() >= self._settle_strays_at:
            running = {report.execution for report in self._cell.all_reports()}
            self._settlement.strays(self._possible_strays, running)
            self._possible_strays = set()

    # --- database errors ---------------------------------------------------------------------

    def _note_database_error(self, database_error: DatabaseError | None) -> None:
        """Report an error's beginning, change and end; wait longer before each further try."""
        if database_error is None:
            self._patience.end()
        else:
            self._patience.wait(time.monotonic())
            self._storage.begin(damaged=database_error.pause_claims)
            self._maintenance.begin()
            self._retention.begin()
            self._recovered = self._recovered and not database_error.pause_claims
            if database_error.code is not None and not self._was_recovered:
                # Ends a daemon that is not up yet. Later it is an error like any other.
                self.report({"failed": database_error.text, "code": database_error.code})
        if database_error != self._database_error:
            self._database_error = database_error
            text = database_error.text if database_error else None
            self.report(
                {
                    "database_error": text,
                    "pause_claims": database_error is not None and database_error.pause_claims,
                }
            )

    def _close(self) -> None:
        """Close the database. A damaged file is left as it is: only its log may be intact."""
        self.heartbeat()
        self._maintenance.close()
        if self._cell.orders().stopping and self._database_error is None:
            with suppress(StoreError):  # its lease ends by itself
                self._own_process.forget()
        if self._database_error is None or self._database_error.code is None:
            self._storage.close(works=self._database_error is None)

    def _on_sigterm(self, _number: int, _frame: object) -> None:
        self._leaving = True
