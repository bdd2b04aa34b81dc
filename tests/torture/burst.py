"""A hundred kills at once: a pool of as many workers, whose jobs overrun together."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from gigqd import exit_codes

if TYPE_CHECKING:
    from torture.crowd import Crowd
    from torture.daemon import Daemon
    from torture.faults import Faults
    from torture.notes import Notes

_WORKERS = 100
_BOOT_WITHIN = 20.0
_END_WITHIN = 8.0
_AGAIN = 0.5


class Burst:
    """Makes the workers, submits a job for each of them, and takes the workers away again.

    Args:
        faults: which does things later, and knows when a command can be given.
        daemon: which gets the workers.
        crowd: which gets a submitter.
        notes: what is counted.
    """

    def __init__(self, faults: Faults, daemon: Daemon, crowd: Crowd, notes: Notes) -> None:
        self._faults = faults
        self._daemon = daemon
        self._crowd = crowd
        self._notes = notes
        self._variant = 0

    def begin(self, variant: int) -> None:
        """Have a hundred workers; their jobs follow when they have booted.

        Args:
            variant: the variant of the configuration that is in force.
        """
        self._variant = variant
        self._notes.did(f"{_WORKERS} workers")
        self._resize(_WORKERS)
        deadline = time.monotonic() + _BOOT_WITHIN
        self._faults.do_later(_AGAIN, lambda: self._submit(deadline))

    def _submit(self, deadline: float) -> None:
        if self._faults.is_over:
            return
        self._faults.ask_status()
        idle = self._daemon.idle_of_many()
        if idle < _WORKERS and time.monotonic() < deadline:
            self._faults.do_later(_AGAIN, lambda: self._submit(deadline))
            return
        self._notes.did("jobs that overrun together", idle=idle)
        self._crowd.submit_at_once(_WORKERS)
        self._faults.do_later(_END_WITHIN, self._dismiss)

    def _dismiss(self) -> None:
        if self._faults.is_free:
            self._resize(0)
        elif not self._faults.is_over:
            self._faults.do_later(_AGAIN, self._dismiss)

    def _resize(self, size: int) -> None:
        self._daemon.many = size
        self._daemon.configure(self._variant)
        life = self._faults.life
        life.command("reload", lambda answer: life.expect(answer, exit_codes.OK))
