"""What others do to a PostgreSQL server: `python -m torture.server_faults WHAT ADDRESS FOLDER
SECONDS HOW`.

Each fault lasts some seconds and is undone by the same process, also when the run is killed.
"""

from __future__ import annotations

import random
import sys
import time
from contextlib import ExitStack, suppress
from pathlib import Path
from signal import SIGCONT, SIGHUP, SIGSTOP

import psutil
import psycopg
from support.postgres import OwnServer
from torture.victims import Gone, Victim

_NAME = "torture"
_OURS = """
SELECT pid FROM pg_stat_activity
WHERE application_name LIKE 'gigq%' AND datname = current_database()
"""
_SOME_ROWS = "SELECT FROM jobs WHERE random() < 0.5 AND status IN ('pending', 'running') FOR UPDATE"
_LOCK_TIMEOUT = "SET LOCAL lock_timeout = '30s'"


def restart(address: str, server: OwnServer, seconds: float, how: str) -> None:
    """Stop the server, and start it again after a while."""
    server.stop(how)
    time.sleep(seconds)
    server.start()


def halt(address: str, server: OwnServer, seconds: float, how: str) -> None:
    """Stop the processes of the server, and let them go on."""
    postmaster = _postmaster(server)
    with ExitStack() as stack:
        _freeze(stack, postmaster)
        for child in psutil.Process(postmaster.pid).children():
            with suppress(Gone):
                _freeze(stack, Victim(child.pid, lambda pid: _is_child(pid, postmaster.pid)))
        time.sleep(seconds)


def read_only(address: str, server: OwnServer, seconds: float, how: str) -> None:
    """Make new transactions read-only, as on a standby."""
    setting = server.folder / "fault.conf"
    setting.write_text("default_transaction_read_only = on\n")
    _reload(server)
    time.sleep(seconds)
    setting.unlink()
    _reload(server)


def connections(address: str, server: OwnServer, seconds: float, how: str) -> None:
    """Take every connection that the server has to give, again and again."""
    end = time.monotonic() + seconds
    taken = []
    while time.monotonic() < end:
        try:
            taken.append(psycopg.connect(address, application_name=_NAME))
        except psycopg.OperationalError:
            time.sleep(0.01)


def terminate(address: str, server: OwnServer, seconds: float, how: str) -> None:
    """End all sessions of gigq, or some."""
    with psycopg.connect(address, autocommit=True, application_name=_NAME) as connection:
        for (pid,) in connection.execute(_OURS).fetchall():
            if how == "all" or random.random() < 0.5:
                connection.execute("SELECT pg_terminate_backend(%s)", (pid,))


def lock(address: str, server: OwnServer, seconds: float, how: str) -> None:
    """Lock a table against all other sessions."""
    _hold(address, seconds, f"LOCK TABLE {how} IN ACCESS EXCLUSIVE MODE")


def lock_rows(address: str, server: OwnServer, seconds: float, how: str) -> None:
    """Lock some jobs that have not ended."""
    _hold(address, seconds, _SOME_ROWS)


def _hold(address: str, seconds: float, statement: str) -> None:
    with psycopg.connect(address, application_name=_NAME) as connection:
        connection.execute(_LOCK_TIMEOUT)
        connection.execute(statement)
        time.sleep(seconds)
        connection.rollback()


def _reload(server: OwnServer) -> None:
    with suppress(OSError, Gone):  # it does not run, and reads the settings when it starts
        _postmaster(server).send(SIGHUP)


def _postmaster(server: OwnServer) -> Victim:
    pid = int((server.folder / "postmaster.pid").read_text().split("\n", 1)[0])
    return Victim(pid, lambda pid: psutil.Process(pid).name() == "postgres")


def _is_child(pid: int, parent: int) -> bool:
    return psutil.pid_exists(pid) and psutil.Process(pid).ppid() == parent


def _freeze(stack: ExitStack, victim: Victim) -> None:
    victim.send(SIGSTOP)
    stack.callback(victim.send, SIGCONT)


def main() -> None:
    """Make one fault."""
    what, address, folder, seconds, how = sys.argv[1:]
    _FAULTS[what](address, OwnServer(Path(folder)), float(seconds), how)


_FAULTS = {
    "restart": restart,
    "outage": restart,
    "halt": halt,
    "read-only": read_only,
    "connections": connections,
    "terminate": terminate,
    "lock": lock,
    "lock-rows": lock_rows,
}


if __name__ == "__main__":
    main()
