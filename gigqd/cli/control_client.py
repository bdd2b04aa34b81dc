"""The commands' side of a running daemon: finding it, asking it, and ending it by force."""

from __future__ import annotations

import json
import os
import select
import signal
import socket
import time
from contextlib import closing
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

_LOOK = 0.02
_CHUNK = 65536


class NotRunning(GigqdError):  # noqa: N818 - a sentence, as the library's errors are
    """There is no daemon to talk to."""

    exit_code = exit_codes.NOT_RUNNING


class NotAnswering(GigqdError):  # noqa: N818 - a sentence, as the library's errors are
    """The daemon holds its lock but does not answer on its control socket."""

    exit_code = exit_codes.STATUS_UNKNOWN


class Client:
    """One daemon as its commands see it.

    Parameters:
        instance: where the daemon's lock and control socket are.
    """

    def __init__(self, runtime_files: RuntimeFiles) -> None:
        self._runtime_files = runtime_files

    def find(self) -> RunningDaemon:
        """The running daemon.

        Raises:
            NotRunning: nobody holds the lock.
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
            within: how long to wait for the answer, in seconds.
            fields: what else belongs to the request.

        Raises:
            NotRunning: nobody holds the lock.
            NotAnswering: somebody does, but no answer came in time.
            GigqdError: this user may not talk to the daemon.
        """
        running = self.find()
        # The daemon compares: its files may have been deleted, or replaced, since they were found.
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
                raise NotRunning("not running any more") from error
            why = f"running ({running}), but not answering: {error.strerror}"
            raise NotAnswering(why) from error
        return _parse(line, running)

    def _is_gone(self) -> bool:
        return self._runtime_files.running() is None

    def stop(self, *, now: bool, within: float) -> dict[str, Any]:
        """Ask the daemon to stop, and wait until its process has ended.

        Args:
            now: whether running jobs are cut short at once.
            within: how long the stop may take, in seconds.

        Raises:
            as `ask`.
        """
        running = self.find()
        if running.pid is None:
            return self.ask("stop", now=now, within=within)
        with closing(_Handle(running.pid)) as handle:
            answer = self.ask("stop", now=now, within=within)
            handle.wait(ANSWER_WITHIN)
        return answer

    def wait_until_gone(self, within: float) -> bool:
        """Whether the lock is free at the end of a wait of so many seconds at most."""
        deadline = time.monotonic() + within
        while self._runtime_files.running() is not None:
            if time.monotonic() > deadline:
                return False
            time.sleep(_LOOK)
        return True

    def kill(self, within: float = ANSWER_WITHIN) -> int:
        """SIGKILL the daemon itself; its workers die with it.

        Returns:
            The process id that was killed.

        Raises:
            NotRunning: nobody holds the lock.
            NotAnswering: who holds it cannot be told for sure, or does not die.
        """
        running = self.find()
        if running.pid is None:
            raise NotAnswering(
                "it is running, but its process cannot be told; find it with "
                f"`fuser {self._runtime_files.lock_path}`"
            )
        with closing(_Handle(running.pid)) as handle:
            # The number may have been given to another process before the handle was opened.
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
    """A process held by a descriptor, which unlike its number can never mean another one."""

    def __init__(self, pid: int) -> None:
        try:
            self._fd = os.pidfd_open(pid)
        except ProcessLookupError as error:
            raise NotRunning("not running any more") from error

    def kill(self) -> None:
        try:
            signal.pidfd_send_signal(self._fd, signal.SIGKILL)
        except ProcessLookupError as error:
            raise NotRunning("not running any more") from error
        except PermissionError as error:
            why = "only the daemon's own user and root may kill it"
            raise GigqdError(why, exit_code=exit_codes.NOT_PERMITTED) from error

    def wait(self, seconds: float) -> bool:
        """Whether the process ends in time."""
        return bool(select.select([self._fd], [], [], seconds)[0])

    def close(self) -> None:
        os.close(self._fd)


def understand(read: Callable[[Mapping[str, Any]], T], answer: Mapping[str, Any]) -> T:
    """Read an answer that may come from anybody.

    Raises:
        NotAnswering: it lacks something, or has something else in its place.
    """
    try:
        return read(answer)
    except (AttributeError, LookupError, TypeError, ValueError) as error:
        why = "what listens on the control socket does not answer as gigqd does"
        raise NotAnswering(why) from error


# --- talking ---------------------------------------------------------------------------------


def _exchange(
    path: Path,
    request: bytes,
    within: float,
    trusted: Callable[[int], bool],
    gone: Callable[[], bool],
) -> bytes:
    """Send a request, and read up to the end of the line that answers it."""
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
    """Connect; a daemon that has only just taken its lock is given time to make its socket."""
    while True:
        try:
            with existing(path) as name:
                sock.connect(name)
        except (FileNotFoundError, ConnectionRefusedError):
            if time.monotonic() > deadline or gone():
                raise
            time.sleep(_LOOK)
        else:
            return


def _parse(line: bytes, running: RunningDaemon) -> dict[str, Any]:
    if not line:
        raise NotAnswering(f"the daemon ({running}) hung up without an answer")
    try:
        answer = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise NotAnswering(f"the daemon ({running}) sent no sensible answer") from error
    if not (isinstance(answer, dict) and _is_whole(answer)):
        raise NotAnswering(f"the daemon ({running}) sent no sensible answer")
    return answer


def _is_whole(answer: dict[str, Any]) -> bool:
    """Whether an answer has what every answer has."""
    if answer.get("ok") is True:
        return True
    return isinstance(answer.get("error"), str) and isinstance(answer.get("code"), int)
