"""Errors of the database that a worker meets again and again while it waits."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from gigq.errors import StoreLocked
from gigqd import logs

if TYPE_CHECKING:
    from gigq.errors import StoreError

log = logs.get_logger(__name__)

_LOG_AGAIN_AFTER = 60.0


class RepeatedErrors:
    """The errors since the last success; each is logged once, and again after a minute.

    Args:
        patience: seconds of errors after which a new process is to try, because the cause may be
            in this one; None for a server, to which each try makes a new connection.
    """

    def __init__(self, patience: float | None) -> None:
        self._patience = patience
        self.end()

    def end(self) -> None:
        """Forget all errors after a success."""
        self._since: float | None = None
        self._logged: tuple[str, float] = ("", 0.0)

    def note(self, error: StoreError) -> bool:
        """Log an error; return True when a new process is to try.

        A lock is another process's, and no new process helps.
        """
        now, text = time.monotonic(), str(error)
        if self._logged[0] != text or now - self._logged[1] >= _LOG_AGAIN_AFTER:
            self._logged = text, now
            log.error("database_error", error=text)
        if self._patience is None or isinstance(error, StoreLocked):
            return False
        if self._since is None:
            self._since = now
        return now - self._since > self._patience
