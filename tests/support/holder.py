"""A stand-in for a daemon: a process that holds an instance's lock and does nothing else."""

from __future__ import annotations

import signal
import tempfile
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from support import fork_server
from support.configs import clean_environment
from support.waiting import wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator

    from support.fork_server import ForkedProcess

_PROGRAM = """
import signal, socket, sys
from pathlib import Path
from gigqd.config import load
from gigqd.ipc.control_socket import address
from gigqd.host.runtime_files import RuntimeFiles

instance = RuntimeFiles(load(Path(sys.argv[1]), {}))
instance.lock()
if "pid" in sys.argv[2:]:
    instance.write_pid()
if "socket" in sys.argv[2:]:
    listener = socket.socket(socket.AF_UNIX)
    with address(instance.socket_path) as name:
        listener.bind(name)
    listener.listen()
signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGTERM])
print("held", flush=True)
signal.sigwait([signal.SIGTERM])
if "socket" in sys.argv[2:]:
    listener.close()
instance.release()
"""


@contextmanager
def lock_holder(config: Path, *also: str) -> Iterator[ForkedProcess]:
    """A process that holds the lock of the instance that a file configures.

    Args:
        config: the configuration file.
        also: what else it has as a daemon would: "pid" a pid file, "socket" a control socket
            on which it listens but never answers.
    """
    with tempfile.TemporaryDirectory() as folder:
        log = Path(folder, "log")
        process = fork_server.start(
            "-c",
            [_PROGRAM, str(config), *also],
            folder=folder,
            environment=clean_environment(),
            log=log,
        )
        try:
            wait_until(lambda: log.read_text() == "held\n", why=log.read_text)
            yield process
        finally:
            process.send_signal(signal.SIGKILL)
            process.wait()
