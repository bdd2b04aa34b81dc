"""The PostgreSQL server of a run on several hosts, in namespaces of its own.

`python -m torture.hosts.server` starts it in there; outside it is reached through its socket.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from support import postgres
from support.postgres import OwnServer
from torture.database import ENVIRONMENT
from torture.hosts.namespaces import Namespaces
from torture.hosts.network import NETWORK
from torture.server_database import SETTINGS, ServerDatabase

if TYPE_CHECKING:
    import subprocess

    from torture.notes import Notes

ADDRESS = "10.77.0.4"
PORT = 5432
NUMBER = 4
_FOLDER = Path("/srv")
"""Its folder as it sees it: others may not enter the folder of the run."""

_ACCESS = f"local all all trust\nhost all all {NETWORK} trust\n"


class HostedDatabase(ServerDatabase):
    """A database on a server that has namespaces of its own.

    Args:
        notes: what is counted, and what is wrong.
        home: the directory of the run.
        pooled: whether a pooler is before it, which keeps its sessions.

    Attributes:
        namespaces: those of the server.
    """

    looks = ()

    def __init__(self, notes: Notes, home: Path, *, pooled: bool) -> None:
        self._pooled = pooled
        folder = home / "server"
        folder.mkdir(mode=0o755)
        folder.chmod(0o755)
        self.namespaces = Namespaces("server", f"mount --bind {folder} {_FOLDER}")
        # The path of a socket must be short.
        inside = Path(f"/proc/{self.namespaces.pid}/root{_FOLDER}")
        super().__init__(notes, server=OwnServer(inside))
        self._open.callback(self.namespaces.close)

    def start(self) -> None:
        """Start the server, which needs its network for that."""
        process = self._popen([sys.executable, "-m", __name__], env=ENVIRONMENT)
        assert process.wait() == 0

    def left_by_a_stop(self) -> list[str]:
        """What daemons have left on the server, as far as a pooler does not keep it."""
        return [] if self._pooled else super().left_by_a_stop()

    def _popen(self, command: list[str], **options: Any) -> subprocess.Popen[bytes]:
        return self.namespaces.popen(command, **options)

    def _place(self) -> tuple[str, str]:
        return OwnServer(_FOLDER).address, str(_FOLDER)


def main() -> None:
    """Make and start the server."""
    access = _FOLDER / "access"
    access.write_text(_ACCESS)
    listen = (f"listen_addresses = '{ADDRESS}'", f"port = {PORT}", f"hba_file = '{access}'")
    postgres.start_in(_FOLDER, *SETTINGS, *listen)


if __name__ == "__main__":
    main()
