"""Looks at the queue by another account, which may read the file and must leave nothing there."""

from __future__ import annotations

import os
import pwd
import sqlite3
import subprocess
import tempfile
import time
from contextlib import closing, suppress
from pathlib import Path
from typing import TYPE_CHECKING

from support.other_user import SEARCH_PATH, find_interpreter

if TYPE_CHECKING:
    from collections.abc import Callable

    from torture.daemon import Daemon
    from torture.notes import Notes

_ACCOUNT = "nobody"
_TORN = """
SELECT count(*) FROM jobs LEFT JOIN job_executions AS e ON e.id = jobs.execution_id
WHERE jobs.status = 'running' AND e.status IS NOT 'running'
"""


class Looks:
    """Commands of another account, one beside the other.

    Args:
        daemon: whose database is looked at.
        notes: what is counted, and what is wrong.
        disturbed_since: Return whether a lock, a full disk or a restore has been in the way.
    """

    def __init__(
        self, daemon: Daemon, notes: Notes, disturbed_since: Callable[[float], bool]
    ) -> None:
        self._daemon = daemon
        self._notes = notes
        self._disturbed_since = disturbed_since
        self._interpreter = find_interpreter(_ACCOUNT) if os.geteuid() == 0 else None
        self._running: list[tuple[subprocess.Popen[bytes], float, str]] = []
        self._copies = Path(tempfile.mkdtemp(prefix="gigq-torture-copies-"))
        self._copies.chmod(0o777)
        self._count = 0

    @property
    def are_possible(self) -> bool:
        """Whether there is an interpreter that the other account may run."""
        return self._interpreter is not None

    def look(self, pick: float) -> None:
        """Start one command."""
        if self._interpreter is None:
            return
        self._daemon.database.let_others_read()
        commands = self._daemon.database.looks
        words = commands[int(pick * len(commands))]
        self._count += 1
        copy = str(self._copies / f"{self._count}.db")
        arguments = [copy if word == "COPY" else word for word in words]
        self._notes.did(f"look by another account: {words[0]}")
        become = ["setpriv", f"--reuid={_ACCOUNT}", "--clear-groups", self._interpreter]
        process = subprocess.Popen(
            [*become, "-m", "gigq", "--db", self._daemon.database.address, *arguments],
            env={"PYTHONPATH": SEARCH_PATH, "PATH": os.environ["PATH"]},
            cwd="/",
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
        )
        self._running.append((process, time.monotonic(), words[0]))

    def tend(self) -> None:
        """Check the commands that have ended."""
        for entry in [entry for entry in self._running if entry[0].poll() is not None]:
            self._running.remove(entry)
            self._check(*entry)

    def end(self) -> None:
        """Wait for the last ones and check them, and remove their copies."""
        for entry in self._running:
            self._check(*entry)
        for copy in self._copies.iterdir():
            copy.unlink()
        self._copies.rmdir()

    def _check(self, process: subprocess.Popen[bytes], began: float, name: str) -> None:
        _, output = process.communicate()
        self._notes.took("a look by another account", time.monotonic() - began)
        if process.returncode and self._disturbed_since(began):
            self._notes.did("look that was disturbed", command=name, code=process.returncode)
        elif process.returncode:
            text = f"gigq {name} ended with {process.returncode}: {output[-500:]!r}"
            self._notes.wrong("look", text)
        elif name == "backup":
            self._check_copies()
        other = pwd.getpwnam(_ACCOUNT).pw_uid
        for file in self._daemon.database.files():
            with suppress(FileNotFoundError):
                if file.stat().st_uid == other:
                    self._notes.wrong("look", f"gigq {name} has left {file.name}")

    def _check_copies(self) -> None:
        """A copy is whole and of one moment: each running job in it has its open execution."""
        for copy in self._copies.glob("*.db"):
            address = f"file:{copy}?mode=ro&immutable=1"
            with closing(sqlite3.connect(address, uri=True)) as connection:
                (found,) = connection.execute("PRAGMA integrity_check(1)").fetchone()
                (torn,) = connection.execute(_TORN).fetchone()
            copy.unlink()
            self._notes.did("copy by another account that was checked")
            if found != "ok" or torn:
                self._notes.wrong("look", f"a backup is torn: {found}, {torn} jobs of two moments")
