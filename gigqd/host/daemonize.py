"""Daemon of `gigqd start`, detached from its terminal, and the launcher that waits for it.

python-daemon detaches: it forks twice, starts a session, sets umask and working directory, closes
inherited descriptors, binds the standard streams to the log, and takes the lock through its
`pidfile` hook. Its launching process exits 0 at once, without a result. So a process is forked
first, which detaches, and the launcher reads from a pipe whether the daemon is ready, or the error.
The account is changed here too, because python-daemon with `initgroups` keeps the group id.
"""

from __future__ import annotations

import json
import os
import select
import sys
import time
from contextlib import suppress
from typing import TYPE_CHECKING, BinaryIO, NamedTuple, NoReturn, Protocol

from gigq.model.url_passwords import mask_passwords
from gigqd import exit_codes, logs
from gigqd.config import DEVICES
from gigqd.errors import GigqdError, unexpected
from gigqd.host.database_location import refuse_unusable_place
from gigqd.host.privileges import become
from gigqd.linux import signals, syscalls

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from gigqd.config import Config
    from gigqd.host.runtime_files import RuntimeFiles

log = logs.get_logger(__name__)

_LONGEST_MESSAGE = 65536
_END_OF_MESSAGE = b"}\n"
_LONGEST_REASON = 600
_REASON = b"["
_TAIL = 2000


class Launcher(Protocol):
    """The program that waits for the start of a daemon."""

    def waits(self, reason: str) -> None:
        """Report that the start waits for the database, and why; callers repeat it."""

    def ready(self) -> None:
        """Report that the daemon is ready."""


class NoLauncher:
    """The launcher of a daemon in the foreground: its log says all."""

    def waits(self, reason: str) -> None:
        """Do nothing."""

    def ready(self) -> None:
        """Do nothing: the supervisor notifies systemd."""


class Readiness:
    """The daemon's end of the pipe to its launcher, for the reasons of a wait and one message.

    Args:
        fd: the pipe's writing end.
    """

    def __init__(self, fd: int) -> None:
        self._fd: int | None = fd
        self._reason = ""

    def detached(self) -> None:
        """Send the daemon's process id, before it starts up."""
        if self._fd is not None:
            with suppress(BrokenPipeError):
                os.write(self._fd, b"%d\n" % os.getpid())

    def waits(self, reason: str) -> None:
        """Report that the start waits for the database, when the reason is another one."""
        if self._fd is not None and reason != self._reason:
            self._reason = reason
            shown = mask_passwords(reason[:_LONGEST_REASON])
            with suppress(BrokenPipeError):
                os.write(self._fd, json.dumps([shown]).encode() + b"\n")

    def ready(self) -> None:
        """Report that the daemon is ready."""
        self._send({"pid": os.getpid()})

    def failed(self, code: int, text: str) -> None:
        """Report that the start has failed.

        Args:
            code: the daemon's exit code.
            text: the cause, for the operator.
        """
        self._send({"code": code, "text": mask_passwords(text)})

    def _send(self, message: dict[str, object]) -> None:
        if self._fd is None:
            return
        with suppress(BrokenPipeError):  # the launcher was killed, or has stopped waiting
            os.write(self._fd, json.dumps(message).encode() + b"\n")
        os.close(self._fd)
        self._fd = None


class Launch(NamedTuple):
    """The result of a launch.

    Attributes:
        code: the launcher's exit code; 0 only when the daemon is ready.
        pid: the daemon's process id when it is ready.
        text: the cause when it is not.
    """

    code: int
    pid: int | None = None
    text: str = ""


def start_detached(
    config: Config,
    runtime_files: RuntimeFiles,
    body: Callable[[Readiness], int],
    wait: float,
    show: Callable[[str], None],
) -> Launch:
    """Detach a daemon and wait until it is ready or has failed.

    This process changes to the daemon's account first, for good. It holds the lock while it opens
    the log; the daemon takes the lock once it is detached.

    Args:
        config: its user, folder, umask and log file.
        runtime_files: its runtime files, not locked yet.
        body: the daemon itself, called in the detached process with the pipe for its message;
            returns its exit code.
        wait: the longest wait for its message, in seconds.
        show: called with each reason for which it waits for the database.

    Raises:
        AlreadyRunning: another process holds the lock.
        NotPermitted: the account cannot be changed to, or cannot write where it must.
        CannotCreate: the runtime directory, the lock or the log cannot be made.
        GigqdError: no process can be forked.
    """
    repair_standard_streams()
    become(config, runtime_files)
    refuse_unusable_place(config.database_file)
    runtime_files.lock()
    try:
        stream = runtime_files.open_log()
    finally:
        runtime_files.abandon()  # a fork does not inherit it: the daemon takes it again
    with stream:
        return _Launcher(config, runtime_files, body, stream).launch(wait, show)


def repair_standard_streams() -> None:
    """Open /dev/null in the place of each standard stream that was closed at the start.

    Otherwise the next file to be opened would become one, and receive what is printed.
    """
    for fd, name, mode in ((0, "stdin", "r"), (1, "stdout", "w"), (2, "stderr", "w")):
        try:
            os.fstat(fd)
        except OSError:
            null = os.open(os.devnull, os.O_RDWR)
            if null != fd:
                os.dup2(null, fd)
                os.close(null)
        if getattr(sys, name) is None:
            setattr(sys, name, os.fdopen(fd, mode, closefd=False))


class _Launcher(NamedTuple):
    """One launch: the launcher's side up to the fork, and the daemon's side after it."""

    config: Config
    runtime_files: RuntimeFiles
    body: Callable[[Readiness], int]
    log: BinaryIO

    def launch(self, wait: float, show: Callable[[str], None]) -> Launch:
        began_at = self.log.seek(0, os.SEEK_END) if self.log.seekable() else 0
        reader, writer = os.pipe2(os.O_CLOEXEC)
        sys.stdout.flush()
        sys.stderr.flush()
        syscalls.become_subreaper()  # to read the exit of a daemon that sends nothing
        pid = self._fork()
        if pid == 0:
            os.close(reader)
            self._run_daemon(writer)
        os.close(writer)
        with os.fdopen(reader, "rb", buffering=0) as pipe:
            received = _receive(pipe, time.monotonic() + wait, show)
        os.waitpid(pid, os.WNOHANG)
        return self._launch_result(received, wait, began_at)

    def _fork(self) -> int:
        try:
            return os.fork()
        except OSError as error:
            text = f"cannot fork: {error.strerror}"
            self._record(text, exit_codes.CANNOT_FORK)
            raise GigqdError(text, exit_code=exit_codes.CANNOT_FORK) from error

    def _launch_result(self, received: bytes | None, wait: float, began_at: int) -> Launch:
        """Return the result of the daemon's message, or of its absence."""
        if received is None:
            text = f"still starting after {wait:g} s; `gigqd status` shows its progress"
            return Launch(exit_codes.FAILED, text=text)
        if not received.endswith(_END_OF_MESSAGE):
            tail = _tail(self.runtime_files.log_path, began_at)
            text = f"the daemon died before it was ready{_exit_text(received)}"
            self._record(text, exit_codes.INTERNAL_ERROR)
            return Launch(exit_codes.INTERNAL_ERROR, text=f"{text}; {tail}")
        message = json.loads(received.splitlines()[-1])
        if "pid" in message:
            return Launch(exit_codes.OK, pid=message["pid"])
        return Launch(message["code"] or exit_codes.INTERNAL_ERROR, text=message["text"])

    def _run_daemon(self, writer: int) -> NoReturn:
        """Detach, run the body and end the process; never return to the launcher's code."""
        readiness = Readiness(writer)
        code, text = exit_codes.INTERNAL_ERROR, ""
        try:
            self._detach(writer)
            readiness.detached()
            code, text = self.body(readiness), "it was stopped before it was ready"
        except GigqdError as error:  # the body has logged it
            code, text = error.exit_code, str(error)
        except BaseException as error:  # noqa: BLE001 - the outermost frame of this process
            defect = unexpected(error)
            code, text = defect.exit_code, str(defect)
            self._record(text, code, with_traceback=True)
        finally:
            with suppress(Exception):  # an error here must not hide the cause
                self.runtime_files.release()
            with suppress(Exception):
                readiness.failed(code, text)
            os._exit(code)

    def _record(self, text: str, code: int, *, with_traceback: bool = False) -> None:
        """Log why the start has failed, before or after detaching."""
        with suppress(OSError):
            logs.configure(self.config.log.replace(file=self.runtime_files.log_path))
            trace = {"exc_info": True} if with_traceback else {}
            log.critical("start_failed", error=text, exit_code=code, **trace)

    def _detach(self, writer: int) -> None:
        try:
            enter(self.config.daemon.working_directory)
            self._open_context(writer)
        except GigqdError as error:
            if (
                error.exit_code != exit_codes.ALREADY_RUNNING
            ):  # the log is that of the one that runs
                self._record(str(error), error.exit_code)
            raise
        self.log.close()  # it is standard output and standard error now

    def _open_context(self, writer: int) -> None:
        import daemon

        context = daemon.DaemonContext(
            files_preserve=[writer],
            detach_process=True,  # its detection is wrong below init and with a socket as stdin
            signal_map={},  # its default ignores signals, which every job would inherit
            umask=self.config.daemon.umask,
            working_directory=str(self.config.daemon.working_directory),
            pidfile=self.runtime_files,  # it takes the lock, as the last step
            prevent_core=False,  # its default would take core dumps from every job
            stdout=self.log,
            stderr=self.log,
        )
        try:
            context.open()
        except daemon.daemon.DaemonProcessDetachError as error:
            raise GigqdError(f"cannot fork: {error}", exit_code=exit_codes.CANNOT_FORK) from error
        _forget("daemon")


def _forget(package: str) -> None:
    """Forget a package, so that an application's own module of this name is found in workers."""
    for name in list(sys.modules):
        if name == package or name.startswith(f"{package}."):
            del sys.modules[name]


def enter(folder: Path) -> None:
    """Change to the working directory of the configuration.

    Raises:
        GigqdError: it is gone, or this account may not enter it.
    """
    try:
        os.chdir(folder)
    except OSError as error:
        text = f"cannot enter daemon.working_directory {folder}: {error.strerror}"
        raise GigqdError(text, exit_code=exit_codes.BAD_CONFIG) from error


def _receive(pipe: BinaryIO, deadline: float, show: Callable[[str], None]) -> bytes | None:
    """Return what the daemon has sent; None after the deadline.

    First comes a line with its process id, then one for each reason of a wait, then its message,
    which is missing when it has died.
    """
    received = b""
    while not received.endswith(_END_OF_MESSAGE):
        if not select.select([pipe], [], [], max(0.0, deadline - time.monotonic()))[0]:
            return None
        if not (chunk := pipe.read(_LONGEST_MESSAGE)):
            break
        received += chunk
        for line in chunk.splitlines():  # a line is one write
            if line.startswith(_REASON):
                show(*json.loads(line))
    return received


def _exit_text(received: bytes) -> str:
    """Return the daemon's exit code or signal in brackets; empty when unknown."""
    pid = received.partition(b"\n")[0]
    if not pid.isdigit():
        return ""
    try:
        _, status = os.waitpid(int(pid), 0)
    except ChildProcessError:
        return ""
    code = os.waitstatus_to_exitcode(status)
    return f" (exit code {code})" if code >= 0 else f" ({signals.name_of(-code)})"


def _tail(path: Path, began_at: int) -> str:
    """Return the end of what the daemon has logged since its launch."""
    if str(path) in DEVICES:
        return f"its log is {path}"
    with path.open("rb") as log:
        log.seek(began_at)
        text = log.read()[-_TAIL:].decode(errors="replace").strip()
    return f"the end of {path}:\n{text}" if text else f"it wrote nothing to {path}"
