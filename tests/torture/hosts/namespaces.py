"""A machine in a machine: namespaces of its own for network, processes, mounts and host name."""

from __future__ import annotations

import ctypes
import os
import subprocess
import time
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gigqd.linux import syscalls

if TYPE_CHECKING:
    from collections.abc import Iterator

_APART = ("unshare", "--net", "--pid", "--mount", "--uts", "--fork", "--kill-child", "--mount-proc")
_MADE_BY = ("setpriv", "--pdeathsig", "KILL", *_APART)
# Ignored, this signal makes the kernel reap the orphans that process 1 inherits.
_PROCESS_1 = "trap '' CHLD; ip link set lo up; echo; exec sleep infinity"
_CLONE_NEWPID = 0x20000000  # <linux/sched.h>
_ENTERED = ("net", "uts", "mnt")
_LOOK_EVERY = 0.005

_libc = ctypes.CDLL(None, use_errno=True)


def are_possible() -> bool:
    """Whether this account may make such namespaces here, and the programs for it are there."""
    made = [*_APART, "ip", "link", "add", "bridge0", "type", "bridge"]
    try:
        return subprocess.run(made, capture_output=True, check=False).returncode == 0
    except OSError:
        return False


class Namespaces:
    """A process 1 that does nothing, in namespaces that last as long as it does.

    It dies with the process that made it, and then the kernel kills all others in there. After
    `close` it can be started again, as a machine after a power cut.

    Args:
        name: the host name.
        setup: commands of the shell that prepare the mounts.

    Attributes:
        name: the host name.
        pid: its process 1, as seen from outside.
        ids: the ids of its process namespaces, one for each start.
    """

    def __init__(self, name: str, *setup: str) -> None:
        self.name = name
        self.ids: list[str] = []
        self._script = " && ".join([f"hostname {name}", *setup, _PROCESS_1])
        self._open: list[int] = []
        self.start()

    def start(self) -> None:
        """Make the namespaces, and process 1 in them."""
        self._maker = subprocess.Popen(
            [*_MADE_BY, "sh", "-ec", self._script], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE
        )
        assert self._maker.stdout is not None
        begun = self._maker.stdout.readline() == b"\n"
        assert begun, f"the namespaces of {self.name} are not made"
        (self.pid,) = syscalls.children_of(self._maker.pid)
        self._processes = _id_of(self.pid)
        self.ids.append(str(self._processes))
        self._open = [os.open(f"/proc/{self.pid}/ns/{kind}", os.O_RDONLY) for kind in _ENTERED]
        self._inside = os.open(f"/proc/{self.pid}/ns/pid", os.O_RDONLY)
        self._outside = os.open("/proc/self/ns/pid", os.O_RDONLY)

    def popen(self, command: list[str], cwd: str | Path = "/", **options: Any) -> Any:
        """Start a process in there that is a child of this one; its `pid` is that of outside."""
        _set(self._inside, _CLONE_NEWPID)
        try:
            # The process that makes a run has no threads.
            return subprocess.Popen(
                command,
                preexec_fn=lambda: self._enter(cwd),  # noqa: PLW1509
                **options,
            )
        finally:
            _set(self._outside, _CLONE_NEWPID)

    def ip(self, *words: str) -> None:
        """Run `ip` with the network of there, and the processes of outside."""
        self.run("ip", *words)

    def run(self, *words: str) -> str:
        """Run a command with the network of there, and the processes of outside; its output."""
        process = subprocess.run(
            words,
            preexec_fn=lambda: _set(self._open[0], 0),
            capture_output=True,
            text=True,
            check=False,
        )
        assert process.returncode == 0, f"{words} in {self.name}: {process.stderr}"
        return process.stdout

    def members(self) -> dict[int, int]:
        """Every process in there: its number inside, and the one outside."""
        return dict(self._members())

    def _members(self) -> Iterator[tuple[int, int]]:
        for pid in syscalls.all_pids():
            with suppress(OSError):
                if self.has(pid):
                    status = Path(f"/proc/{pid}/status").read_text()
                    (numbers,) = [t for t in status.splitlines() if t.startswith("NSpid:")]
                    yield int(numbers.split()[-1]), pid

    def has(self, pid: int) -> bool:
        """Whether a process of outside is one of those in there."""
        with suppress(OSError):
            return _id_of(pid) == self._processes
        return False

    def close(self) -> None:
        """Kill all that is in there at once, and wait until it is dead."""
        if not self._open:
            return
        self._maker.kill()
        self._maker.communicate()
        # Process 1 is left until the run has waited for its own children in there.
        while any(_lives(pid) for pid in self.members().values() if pid != self.pid):
            time.sleep(_LOOK_EVERY)
        for descriptor in (*self._open, self._inside, self._outside):
            os.close(descriptor)
        self._open = []

    def _enter(self, cwd: str | Path) -> None:
        for descriptor in self._open:
            _set(descriptor, 0)
        os.chdir(cwd)


def _lives(pid: int) -> bool:
    """Whether a process is alive; dead children of the run are members until it waits for them."""
    with suppress(ProcessLookupError):
        return syscalls.read_process(pid).alive
    return False


def _id_of(pid: int) -> int:
    return Path(f"/proc/{pid}/ns/pid").stat().st_ino


def _set(descriptor: int, kind: int) -> None:
    if _libc.setns(descriptor, kind) != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
