"""Connection to the recorder: exit records that it has not confirmed, and its reports."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from gigqd import logs
from gigqd.errors import GigqdError

if TYPE_CHECKING:
    from gigqd.ipc.exit_record import ExitRecord
    from gigqd.ipc.json_socket import JsonSocket

log = logs.get_logger(__name__)


class RecorderLink:
    """Connection to the current recorder.

    1. Keeps every exit record from the moment it is complete.
    2. Sends each to the recorder, and all unconfirmed ones to the next recorder.
    3. Drops one only when the recorder confirms that it is settled.
    4. Keeps the recorder's last report of the database.

    Attributes:
        recovered: the executions of dead runs are settled, so claims may begin.
        database_error: why the recorder cannot write now; None when it can.
        pause_claims: claims must stop until that error is over, since the file at the database's
            path is another one or is damaged.
        cancels: the open executions of this run for which a cancel is requested.
        failure: the error that ends the start; None when there is none.
        still_works: processes of a dead run that this account may not kill.
    """

    def __init__(self) -> None:
        self.recovered = False
        self.database_error: str | None = None
        self.pause_claims = False
        self.cancels: frozenset[str] = frozenset()
        self.failure: GigqdError | None = None
        self.still_works: tuple[int, ...] = ()
        self._open: dict[int, ExitRecord] = {}
        self._json_socket: JsonSocket | None = None
        self._next = 1

    def __len__(self) -> int:
        """Return how many exit records are not settled."""
        return len(self._open)

    @property
    def reason(self) -> str | None:
        """The reason why the recorder cannot do all of its work; None when it can."""
        if self.database_error or not self.still_works:
            return self.database_error
        pids = " ".join(map(str, self.still_works))
        return (
            f"a daemon or worker that died left processes of another account ({pids}), and its "
            f"jobs stay open until they end: run `kill -9 {pids}` as root"
        )

    def add(self, record: ExitRecord) -> None:
        """Keep an exit record and send it."""
        number = self._next
        self._next += 1
        self._open[number] = record
        self._send(number)

    def serve(self, json_socket: JsonSocket | None) -> None:
        """Use a new recorder's socket, or none (None), and send it every open record."""
        self._json_socket = json_socket
        for number in self._open:
            self._send(number)

    def receive(self, message: dict[str, Any]) -> None:
        """Handle a message of the recorder."""
        match message:
            case {"ready": int(settled)}:
                self.recovered = True
                log.info("recovery_finished", settled=settled)
            case {"failed": str(text), "code": int(code)}:
                self.failure = GigqdError(text, exit_code=code)
            case {"settled": int(number), **fields}:
                if self._open.pop(number, None) is not None:
                    log.info("exit_recorded", **fields)
            case {"cancel": [*executions]}:
                self.cancels = frozenset(map(str, executions))
            case {"pruned": dict(pruned), "seconds": seconds}:
                log.info("jobs_pruned", pruned=pruned, seconds=seconds)
            case {"still_works": [*pids]}:
                self.still_works = tuple(map(int, pids))
            case {"database_error": database_error, "pause_claims": bool(pause_claims)}:
                self._note_database_error(database_error, pause_claims=pause_claims)

    def _note_database_error(self, database_error: str | None, *, pause_claims: bool) -> None:
        if database_error and (not self.database_error or pause_claims != self.pause_claims):
            log.error("db_down", error=database_error, pause_claims=pause_claims)
        elif self.database_error and not database_error:
            log.info("db_up")
        self.database_error, self.pause_claims = database_error, pause_claims

    def _send(self, number: int) -> None:
        if self._json_socket is not None and not self._json_socket.ended:
            self._json_socket.send({"exit": number, **self._open[number]._asdict()})
