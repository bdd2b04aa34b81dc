"""A program that detaches a stand-in for the daemon's body, and prints the result of the launch."""

from __future__ import annotations

import json
import os
import signal
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

from gigqd.config import load
from gigqd.errors import GigqdError
from gigqd.host.daemonize import start_detached
from gigqd.host.runtime_files import RuntimeFiles

if TYPE_CHECKING:
    from gigqd.host.daemonize import Readiness


def body(how: str, runtime_files: RuntimeFiles, readiness: Readiness) -> int:
    """Behave in one of the ways a daemon may."""
    runtime_files.write_pid()
    os.write(1, b"the body writes this to its log\n")
    match how:
        case "fails":
            raise GigqdError("no worker could start: No module named 'shop'", exit_code=78)
        case "breaks":
            raise ZeroDivisionError("a defect")
        case "dies":
            os.kill(os.getpid(), signal.SIGKILL)
        case "dies without a name":
            os.kill(os.getpid(), signal.SIGRTMIN + 1)
        case "hangs":
            signal.pause()
        case "stops early":
            return 0
        case "late":
            release = runtime_files.directory / "go on"
            while not release.exists():
                time.sleep(0.01)
    Path(runtime_files.directory / "facts").write_text(json.dumps(_facts()))
    signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGTERM])
    readiness.ready()
    signal.sigwait([signal.SIGTERM])
    return 0


def _facts() -> dict[str, object]:
    """What surrounds the detached process."""
    links = {path.name: str(path.readlink()) for path in _open_fds()}
    return {
        "pid": os.getpid(),
        "ids": [os.getresuid(), os.getresgid(), os.getgroups()],
        "session": os.getsid(0),
        "cwd": str(Path.cwd()),
        "umask": os.umask(0o27),
        "fds": links,
        "ignored": [s.name for s in signal.Signals if signal.getsignal(s) is signal.SIG_IGN],
    }


def _open_fds() -> list[Path]:
    return [path for path in Path("/proc/self/fd").iterdir() if path.exists()]


def main(config_file: str, how: str, wait: str) -> None:
    """Launch, print how it went as JSON where the standard output is open, and exit."""
    config = load(Path(config_file), {})
    if how == "missing":  # deleted after the configuration was read
        missing = config.daemon.replace(working_directory=Path("/no/such/folder"))
        config = config.replace(daemon=missing)
    runtime_files = RuntimeFiles(config)
    launch = start_detached(
        config, runtime_files, lambda r: body(how, runtime_files, r), float(wait), print
    )
    sys.stdout.write(json.dumps({"code": launch.code, "pid": launch.pid, "text": launch.text}))
    sys.exit(launch.code)


if __name__ == "__main__":
    main(*sys.argv[1:])
