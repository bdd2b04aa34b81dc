"""`gigqd start`: a daemon detached from its terminal, and a launcher that waits until it is ready.

python-daemon detaches: it forks twice, starts a session, sets umask and working directory, closes
what was inherited, binds the standard streams to the log, and takes the lock through its `pidfile`
hook. It lacks a result: its launching process exits 0 at once. So a process is forked first, which
detaches, and the launcher reads from a pipe whether the daemon is ready, or why it is not. The
account is changed here, too: with `initgroups` python-daemon leaves the group id as it was.
"""

from __future__ import annotations

import json
import os
import select
import signal
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, NamedTuple, NoReturn

from gigq.model.url_passwords import mask_passwords
from gigqd import exit_codes, logs
from gigqd.config import DEVICES
from gigqd.errors import GigqdError, unexpected
from gigqd.host.database_place import refuse_unusable_place
from gigqd.host.privileges import become
from gigqd.linux import syscalls

if TYPE_CHECKING:
    from collections.abc import Callable

    from gigqd.config import Config
    from gigqd.host.runtime_files import RuntimeFiles

log = logs.get_logger(__name__)

_LONGEST_WORD = 65536
_END_OF_WORD = b"}\n"
_TAIL = 2000


class Readiness:
    """The daemon's end of the pipe to its launcher; only the first word counts.

    Parameters:
        fd: the pipe's writing end.
    """

    def __init__(self, fd: int) -> None:
        self._fd: int | None = fd

    def detached(self) -> None:
        """Say which process the daemon is, before anything can go wrong in it."""
        if self._fd is not None:
            with suppress(BrokenPipeError):
                os.write(self._fd, b"%d\n" % os.getpid())

    def ready(self, pid: int) -> None:
        """Say that the pool is up.

        Args:
            pid: the daemon's process id.
        """
        self._say({"pid": pid})

    def failed(self, code: int, text: str) -> None:
        """Say that it will never be.

        Args:
            code: the code that the daemon ends with.
            text: the cause, for a person to read.
        """
        self._say({"code": code, "text": mask_passwords(text)})

    def _say(self, word: dict[str, object]) -> None:
        if self._fd is None:
            return
        with suppress(BrokenPipeError):  # the launcher was killed, or has stopped waiting
            os.write(self._fd, json.dumps(word).encode() + b"\n")
        os.close(self._fd)
        self._fd = None


class Launch(NamedTuple):
    """How a launch went.

    Attributes:
        code: what the launcher shall exit with; 0 only when the pool is ready.
        pid: the daemon's process id when it is ready.
        text: the cause when it is not.
    """

    code: int
    pid: int | None = None
    text: str = ""


def start_detached(
    config: Config, runtime_files: RuntimeFiles, body: Callable[[Readiness], int], wait: float
) -> Launch:
    """Detach a daemon and wait until it is ready or has failed.

    This process becomes the daemon's account first, for good. It locks the instance for as long as
    it opens the log; the daemon takes the lock once it is detached.

    Args:
        config: its user, folder, umask and log file.
        instance: its runtime files, not locked yet.
        body: the daemon itself, called in the detached process with the pipe to say ready on;
            returns its exit code.
        wait: how long to wait for its word, in seconds.

    Raises:
        AlreadyRunning: another process holds the lock.
        NotPermitted: the account cannot be changed to, or cannot write where it must.
        CannotCreate: the runtime directory, the lock or the log cannot be made.
        GigqdError: no process can be forked.
    """
    repair_standard_streams()
    become(config, runtime_files)
    refuse_unusable_place(Path(config.queue.database))
    runtime_files.lock()
    try:
        stream = runtime_files.open_log()
    finally:
        runtime_files.abandon()  # a fork does not inherit it: the daemon takes it again
    with stream:
        return _Launcher(config, runtime_files, body, stream).launch(wait)


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

    def launch(self, wait: float) -> Launch:
        began_at = self.log.seek(0, os.SEEK_END) if self.log.seekable() else 0
        reader, writer = os.pipe2(os.O_CLOEXEC)
        sys.stdout.flush()
        sys.stderr.flush()
        syscalls.become_subreaper()  # so that it learns how a daemon ended that says nothing
        pid = self._fork()
        if pid == 0:
            os.close(reader)
            self._be_the_daemon(writer)
        os.close(writer)
        with os.fdopen(reader, "rb", buffering=0) as pipe:
            heard = _listen(pipe, time.monotonic() + wait)
        os.waitpid(pid, os.WNOHANG)
        return self._judge(heard, wait, began_at)

    def _fork(self) -> int:
        try:
            return os.fork()
        except OSError as error:
            text = f"cannot fork: {error.strerror}"
            self._record(text, exit_codes.CANNOT_FORK)
            raise GigqdError(text, exit_code=exit_codes.CANNOT_FORK) from error

    def _judge(self, heard: bytes | None, wait: float, began_at: int) -> Launch:
        """What to make of the daemon's word, or of its silence."""
        if heard is None:
            text = f"still starting after {wait:g} s; `gigqd status` tells how it goes on"
            return Launch(exit_codes.FAILED, text=text)
        if not heard.endswith(_END_OF_WORD):
            tail = _tail(self.runtime_files.log_path, began_at)
            text = f"the daemon died before it was ready{_how_it_died(heard)}"
            self._record(text, exit_codes.INTERNAL_ERROR)
            return Launch(exit_codes.INTERNAL_ERROR, text=f"{text}; {tail}")
        said = json.loads(heard.splitlines()[-1])
        if "pid" in said:
            return Launch(exit_codes.OK, pid=said["pid"])
        return Launch(said["code"] or exit_codes.INTERNAL_ERROR, text=said["text"])

    def _be_the_daemon(self, writer: int) -> NoReturn:
        """Detach, run the body and end; nothing ever returns into the launcher's code."""
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
            with suppress(Exception):  # its files are of less weight than the reason
                self.runtime_files.release()
            with suppress(Exception):
                readiness.failed(code, text)
            os._exit(code)

    def _record(self, text: str, code: int, *, with_traceback: bool = False) -> None:
        """Write to the log why there will be no daemon, however far the detaching has come."""
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
            detach_process=True,  # its own guess is wrong below init and with a socket as stdin
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
    """Make the working directory of the configuration that of this process.

    Raises:
        GigqdError: it is gone, or may not be entered.
    """
    try:
        os.chdir(folder)
    except OSError as error:
        text = f"cannot enter daemon.working_directory {folder}: {error.strerror}"
        raise GigqdError(text, exit_code=exit_codes.BAD_CONFIG) from error


def _listen(pipe: BinaryIO, deadline: float) -> bytes | None:
    """Return what the daemon has said; None when the time is over.

    A line with its process id comes first, then its word; that is missing when it has died.
    """
    heard = b""
    while not heard.endswith(_END_OF_WORD):
        if not select.select([pipe], [], [], max(0.0, deadline - time.monotonic()))[0]:
            return None
        if not (chunk := pipe.read(_LONGEST_WORD)):
            break
        heard += chunk
    return heard


def _how_it_died(heard: bytes) -> str:
    """Return how the daemon ended, in brackets; empty when the kernel does not say."""
    pid = heard.partition(b"\n")[0]
    if not pid.isdigit():
        return ""
    try:
        _, status = os.waitpid(int(pid), 0)
    except ChildProcessError:
        return ""
    code = os.waitstatus_to_exitcode(status)
    return f" (exit code {code})" if code >= 0 else f" ({signal.Signals(-code).name})"


def _tail(path: Path, began_at: int) -> str:
    """The last of what the daemon wrote to its log since its launch."""
    if str(path) in DEVICES:
        return f"its log is {path}"
    with path.open("rb") as log:
        log.seek(began_at)
        text = log.read()[-_TAIL:].decode(errors="replace").strip()
    return f"the end of {path}:\n{text}" if text else f"it wrote nothing to {path}"
