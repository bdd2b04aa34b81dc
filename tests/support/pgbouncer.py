"""PgBouncer before the PostgreSQL server of the tests, where it is installed."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psycopg
import pytest
from psycopg.conninfo import conninfo_to_dict
from support import postgres
from support.waiting import wait_until

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

PROGRAM = "GIGQ_TEST_PGBOUNCER"

_PORT = 6432
_SETTINGS = """
[databases]
* = {target}
[pgbouncer]
pool_mode = {mode}
default_pool_size = {size}
auth_type = any
unix_socket_dir = {folder}
listen_port = {port}
logfile = {folder}/log
"""


@contextmanager
def pooled(
    mode: str,
    *,
    schema: str | None = None,
    size: int = 20,
    server: str | None = None,
    popen: Callable[..., Any] = subprocess.Popen,
) -> Iterator[str]:
    """The address of a server through PgBouncer.

    Args:
        mode: `session` or `transaction`.
        schema: the schema of all sessions. In transaction mode a client cannot choose it for its
            session, which would be that of others, too.
        size: the number of sessions of the server that the clients share.
        server: the address of the server; by default that of the tests.
        popen: starts the process, perhaps in namespaces of its own.
    """
    program = os.environ.get(PROGRAM) or shutil.which("pgbouncer", path=_path())
    if program is None:
        pytest.skip(f"PgBouncer is not installed, and {PROGRAM} names none")
    given = conninfo_to_dict(server or postgres.server())
    target = " ".join(f"{name}={value}" for name, value in given.items())
    options = f"connect_query='SET search_path TO {schema}'" if schema else ""
    with tempfile.TemporaryDirectory(dir="/tmp") as name:
        folder = Path(name)
        folder.chmod(0o777)
        settings = {"target": f"{target} {options}", "mode": mode, "size": size}
        settings |= {"folder": name, "port": _PORT}
        (folder / "ini").write_text(_SETTINGS.format(**settings))
        become = ["-u", "nobody"] if os.geteuid() == 0 else []
        with popen(
            [program, *become, str(folder / "ini")],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        ) as process:
            address = f"postgresql://postgres@/postgres?host={name}&port={_PORT}"
            try:
                wait_until(lambda: _answers(address))
                yield address
            finally:
                process.terminate()


def _path() -> str:
    return f"{os.environ.get('PATH', '')}:/usr/sbin"


def _answers(address: str) -> bool:
    try:
        psycopg.connect(address).close()
    except psycopg.OperationalError:
        return False
    return True
