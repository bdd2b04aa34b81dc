"""A small disk for tables of a PostgreSQL server, in a mount namespace of that server's own."""

from __future__ import annotations

import os
import pwd
import subprocess
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from support import postgres

if TYPE_CHECKING:
    from support.postgres import OwnServer

_MOUNT = 'mount -t tmpfs -o "size=$1,uid=$2,mode=0700" none "$3" || exit; shift 3; exec "$@"'


class SmallDisk:
    """A tablespace `small` on a disk of a few megabytes, as root only can make it.

    Args:
        server: a server that runs; it is started again.
    """

    def __init__(self, server: OwnServer) -> None:
        folder = server.folder.parent / "small"
        folder.mkdir()
        server.stop()
        programs = postgres.programs()
        assert programs is not None
        user = pwd.getpwnam("nobody")
        start = [programs / "pg_ctl", "start", "--wait", "--pgdata", server.folder]
        subprocess.run(
            [
                *("unshare", "--mount", "sh", "-c", _MOUNT, "sh"),
                *("4m", str(user.pw_uid), folder),
                *("setpriv", f"--reuid={user.pw_uid}", f"--regid={user.pw_gid}", "--clear-groups"),
                *start,
                f"--log={server.folder / 'log'}",
            ],
            check=True,
            cwd="/",
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        process = (server.folder / "postmaster.pid").read_text().split("\n", 1)[0]
        self._filler = Path(f"/proc/{process}/root{folder}/filler")
        server.run(f"CREATE TABLESPACE small LOCATION '{folder}'")

    def fill(self) -> None:
        """Leave no room on it."""
        with suppress(OSError), self._filler.open("wb", buffering=0) as filler:
            while filler.write(os.urandom(4096)):
                pass

    def make_room(self) -> None:
        """Remove what filled it."""
        self._filler.unlink()
