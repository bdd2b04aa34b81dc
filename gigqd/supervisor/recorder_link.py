"""The link to the recorder: exit records that it has not confirmed, and what it reports."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from gigqd import logs
from gigqd.errors import GigqdError

if TYPE_CHECKING:
    from gigqd.ipc.exit_record import ExitRecord
    from gigqd.ipc.json_socket import JsonSocket

log = logs.get_logger(__name__)


class RecorderLink:
    """The link to the present recorder.

    1. Keeps every exit record from the moment it is complete.
    2. Sends each to the recorder, and all of them again to the next one.
    3. Drops one only when the recorder says that it is settled.
    4. Remembers what the recorder last said of the database.

    Attributes:
        in_order: what dead runs left open is settled, so claims may begin.
        trouble: why the recorder cannot write now; None when it can.
        hold: claims must stop until the trouble is over: what lies at the database's path is not
            the file that the workers know, or is no database.
        cancels: the open executions of this run that somebody has asked to cancel.
        failure: why it never will; None while there is hope.
        still_works: processes of a dead run that this account may not end.
    """

    def __init__(self) -> None:
        self.in_order = False
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
        """Why not all of the recorder's work is done; None when it is."""
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
        """Take in what the recorder says."""
        match message:
            case {"ready": int(settled)}:
                self.in_order = True
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
