"""Client of a running daemon: find it, send it a command, and kill it."""

from __future__ import annotations

import json
import os
import select
import signal
import socket
import time
from contextlib import closing, suppress
from typing import TYPE_CHECKING, Any, TypeVar

from gigqd import exit_codes
from gigqd.errors import GigqdError
from gigqd.host.running_daemons import AnotherDaemon
from gigqd.ipc.control_socket import existing, peer_of
from gigqd.ipc.json_socket import LONGEST_LINE

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from gigqd.host.running_daemons import RunningDaemon
    from gigqd.host.runtime_files import RuntimeFiles

T = TypeVar("T")

ANSWER_WITHIN = 5.0
"""Seconds after which a daemon that should answer at once counts as not answering."""

_POLL_INTERVAL = 0.02
_CHUNK = 65536


class NotRunning(GigqdError):  # noqa: N818 - a sentence, as the library's errors are
    """No daemon runs."""

    exit_code = exit_codes.NOT_RUNNING


class NotAnswering(GigqdError):  # noqa: N818 - a sentence, as the library's errors are
    """The daemon holds its lock but does not answer on its control socket."""

    exit_code = exit_codes.STATUS_UNKNOWN


class Client:
    """One daemon, as its commands reach it.

    Args:
        runtime_files: the places of the daemon's lock and control socket.
    """

    def __init__(self, runtime_files: RuntimeFiles) -> None:
        self._runtime_files = runtime_files

    def find(self) -> RunningDaemon:
        """Return the running daemon.

        Raises:
            NotRunning: no process holds the lock.
        """
        running = self._runtime_files.running()
        if running is None:
            raise NotRunning("not running")
        return running

    def ask(
        self, command: str, *, within: float = ANSWER_WITHIN, **fields: object
    ) -> dict[str, Any]:
        """Send one command and wait for its answer.

        Args:
            command: "status", "stop", "reload", "pause" or "resume".
            within: seconds to wait for the answer.
            fields: more keys of the request.

        Raises:
            NotRunning: no process holds the lock.
            NotAnswering: a process holds it, but no answer came in time.
            GigqdError: this user may not use the control socket.
        """
        running = self.find()
        # The daemon compares: its files may have been deleted or replaced since they were found.
        wanted = self._runtime_files.identity
        meant = {"for": wanted._asdict()} if wanted else {}
        request = json.dumps({"command": command, **meant, **fields}).encode() + b"\n"
        try:
            path, trusted = self._runtime_files.socket_path, self._runtime_files.trusts
            line = _exchange(path, request, within, trusted, self._is_gone)
        except PermissionError as error:
            why = f"only its own user and root may talk to the daemon ({running})"
            raise GigqdError(why, exit_code=exit_codes.NOT_PERMITTED) from error
        except TimeoutError as error:
            why = f"running ({running}), but not answering for {within:g} s"
            raise NotAnswering(why) from error
        except OSError as error:
            if self._is_gone():
                raise NotRunning("no longer running") from error
            why = f"running ({running}), but not answering: {error.strerror}"
            raise NotAnswering(why) from error
        return _parse(line, running)

    def _is_gone(self) -> bool:
        return self._runtime_files.running() is None

    def stop(self, *, now: bool, within: float) -> dict[str, Any]:
        """Request that the daemon stops, and wait until its process has ended.

        Args:
            now: release running jobs at once.
            within: seconds that the stop may take.

        Raises:
            GigqdError: as for `ask`.
        """
        running = self.find()
        if running.pid is None:
            return self.ask("stop", now=now, within=within)
        with closing(_Handle(running.pid)) as handle:
            answer = self.ask("stop", now=now, within=within)
            handle.wait(ANSWER_WITHIN)
        return answer

    def wait_until_gone(self, within: float) -> bool:
        """Wait for the lock to become free; return False when it is held for longer."""
        deadline = time.monotonic() + within
        while self._runtime_files.running() is not None:
            if time.monotonic() > deadline:
                return False
            time.sleep(_POLL_INTERVAL)
        return True

    def kill(self, within: float = ANSWER_WITHIN) -> int:
        """Kill the daemon; its workers die with it.

        Returns:
            The killed process's id.

        Raises:
            NotRunning: no process holds the lock.
            NotAnswering: the process that holds it is unknown, was replaced, or does not die.
        """
        running = self.find()
        if running.pid is None:
            raise NotAnswering(
                "it is running, but its process id is unknown; find it with "
                f"`fuser {self._runtime_files.lock_path}`"
            )
        with closing(_Handle(running.pid)) as handle:
            # Another process may have got the id before the descriptor was opened.
            if self.find() != running:
                raise NotAnswering("the daemon was replaced by another process; try again")
            theirs, wanted = running.identity, self._runtime_files.identity
            if theirs and wanted and not theirs.is_that_of(wanted):
                raise AnotherDaemon(running, theirs, wanted)
            handle.kill()
            if not handle.wait(within):
                raise NotAnswering(f"process {running.pid} does not die of SIGKILL")
        return running.pid


class _Handle:
    """A process by its descriptor, which unlike its id never means another process."""

    def __init__(self, pid: int) -> None:
        try:
            self._fd = os.pidfd_open(pid)
        except ProcessLookupError as error:
            raise NotRunning("no longer running") from error

    def kill(self) -> None:
        try:
            signal.pidfd_send_signal(self._fd, signal.SIGKILL)
        except ProcessLookupError as error:
            raise NotRunning("no longer running") from error
        except PermissionError as error:
            why = "only the daemon's own user and root may kill it"
            raise GigqdError(why, exit_code=exit_codes.NOT_PERMITTED) from error

    def wait(self, seconds: float) -> bool:
        """Return True when the process ends in time."""
        return bool(select.select([self._fd], [], [], seconds)[0])

    def close(self) -> None:
        os.close(self._fd)


def understand(read: Callable[[Mapping[str, Any]], T], answer: Mapping[str, Any]) -> T:
    """Read an answer, which another program may have sent.

    Raises:
        NotAnswering: a key is missing, or has a value of a wrong type.
    """
    try:
        return read(answer)
    except (AttributeError, LookupError, TypeError, ValueError) as error:
        why = "the process that listens on the control socket does not answer as gigqd does"
        raise NotAnswering(why) from error


def _exchange(
    path: Path,
    request: bytes,
    within: float,
    trusted: Callable[[int], bool],
    gone: Callable[[], bool],
) -> bytes:
    """Send a request, and return the line that answers it."""
    deadline = time.monotonic() + within
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as sock:
        sock.settimeout(within)
        _connect(sock, path, deadline, gone)
        pid, uid = peer_of(sock)
        if not trusted(uid):
            raise NotAnswering(f"process {pid} of user id {uid} listens in the place of gigqd")
        sock.sendall(request)
        return _read_line(sock, deadline)


def _read_line(sock: socket.socket, deadline: float) -> bytes:
    answer = bytearray()
    while not answer.endswith(b"\n") and len(answer) <= LONGEST_LINE:
        sock.settimeout(max(0.001, deadline - time.monotonic()))
        if not (chunk := sock.recv(_CHUNK)):
            break
        answer += chunk
    return bytes(answer)


def _connect(sock: socket.socket, path: Path, deadline: float, gone: Callable[[], bool]) -> None:
    """Connect; wait for a daemon that has taken its lock and not made its socket yet."""
    while True:
        try:
            with existing(path) as name:
                sock.connect(name)
        except (FileNotFoundError, ConnectionRefusedError):
            if time.monotonic() > deadline or gone():
                raise
            time.sleep(_POLL_INTERVAL)
        else:
            return


def _parse(line: bytes, running: RunningDaemon) -> dict[str, Any]:
    if not line:
        raise NotAnswering(f"the daemon ({running}) closed the connection without an answer")
    with suppress(ValueError, RecursionError):
        answer = json.loads(line)
        if isinstance(answer, dict) and _is_answer(answer):
            return answer
    raise NotAnswering(f"the daemon ({running}) sent no valid answer")


def _is_answer(answer: dict[str, Any]) -> bool:
    """Return True when the keys of every answer are there."""
    if answer.get("ok") is True:
        return True
    return isinstance(answer.get("error"), str) and isinstance(answer.get("code"), int)
