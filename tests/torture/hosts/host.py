"""A host: namespaces, a link to the network, and a gigqd that reaches the database through it."""

from __future__ import annotations

import os
import random
from signal import SIGCONT, SIGSTOP
from typing import TYPE_CHECKING, Any

from support.faketime import FakeClock
from torture.daemon import Daemon
from torture.database import ENVIRONMENT
from torture.victims import Gone, Victim

from gigqd.linux import syscalls

if TYPE_CHECKING:
    import subprocess
    from pathlib import Path

    from torture.hosts.namespaces import Namespaces
    from torture.server_database import ServerDatabase

_STOPPED = "T"


class Host(Daemon):
    """The daemon of a host, and the host around it.

    Args:
        home: a directory for the files of this host alone.
        database: the queue.
        namespaces: those of the host.
        own: settings that its daemon has otherwise than that of a plain run.
        clock_ahead: seconds by which its clock is ahead of the others.

    Attributes:
        clock_ahead: see above.
        is_stopped: whether its processes are stopped.
    """

    def __init__(
        self,
        home: Path,
        database: ServerDatabase,
        namespaces: Namespaces,
        own: dict[str, Any],
        clock_ahead: float,
    ) -> None:
        super().__init__(home, database, own)
        self.namespaces = namespaces
        self.clock_ahead = clock_ahead
        self.is_stopped = False
        self._stopped: list[Victim] = []
        self._clock = FakeClock(home) if clock_ahead else None
        if self._clock:
            self._clock.put(clock_ahead)
            given = self._clock.environment
            paths = (given["PYTHONPATH"], ENVIRONMENT["PYTHONPATH"])
            self._environment |= given | {"PYTHONPATH": os.pathsep.join(paths)}

    @property
    def name(self) -> str:
        """The host name."""
        return self.namespaces.name

    def set_clock(self, ahead: float | None = None) -> None:
        """Set the clock so many seconds ahead of the others, or where it was at first."""
        assert self._clock is not None, f"the clock of {self.name} is the machine's"
        self._clock.put(self.clock_ahead if ahead is None else ahead)

    def stop_all(self) -> None:
        """Stop all processes, also those that others start at this moment."""
        self.is_stopped = True
        while running := [pid for pid in self.namespaces.members().values() if _runs(pid)]:
            for pid in running:
                self._stop(pid)

    def wake_all(self) -> None:
        """Let all processes go on, in any order."""
        random.shuffle(self._stopped)
        for victim in self._stopped:
            victim.send(SIGCONT)
            victim.close()
        self._stopped.clear()
        self.is_stopped = False

    def _stop(self, pid: int) -> None:
        try:
            victim = Victim(pid, self.namespaces.has)
        except Gone:
            return
        victim.send(SIGSTOP)
        self._stopped.append(victim)

    def _popen(self, command: list[str], **options: Any) -> subprocess.Popen[bytes]:
        return self.namespaces.popen(command, **options)

    def _victim(self, pid: int) -> Victim:
        outside = self.namespaces.members().get(pid)
        if outside is None:
            raise Gone(pid)
        return super()._victim(outside)


def _runs(pid: int) -> bool:
    try:
        return syscalls.stat_fields(pid)[0] not in (_STOPPED, "Z", "X")
    except ProcessLookupError:
        return False
