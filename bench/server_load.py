"""How many statements clients send to a PostgreSQL server, counted in its log."""

from __future__ import annotations

import re
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

STATEMENT = re.compile(r"LOG:  (?:statement:|execute )")
OFTEN_ENOUGH = 0.02


def statements_in(log: str) -> int:
    """The number of statements in a log; several that are sent at once count as one."""
    return len(STATEMENT.findall(log))


def queries_per_second(address: str, log: Path, seconds: float) -> float:
    """Statements of all clients in a second, over some time."""
    import psycopg

    with psycopg.connect(address, autocommit=True) as connection:
        connection.execute("ALTER SYSTEM SET log_statement = 'all'")
        connection.execute("SELECT pg_reload_conf()")
        while connection.execute("SHOW log_statement").fetchone() != ("all",):
            time.sleep(OFTEN_ENOUGH)
        began, length = time.monotonic(), log.stat().st_size
        time.sleep(seconds)
        with log.open() as file:
            file.seek(length)
            found = statements_in(file.read())
        return found / (time.monotonic() - began)
