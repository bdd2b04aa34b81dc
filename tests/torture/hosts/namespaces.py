"""A machine in a machine: namespaces of its own for network, processes, mounts and host name."""

from __future__ import annotations

import ctypes
import os
import subprocess
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

    It dies with the process that made it, and then the kernel kills all others in there.

    Args:
        name: the host name.
        setup: commands of the shell that prepare the mounts.

    Attributes:
        name: the host name.
        pid: its process 1, as seen from outside.
    """

    def __init__(self, name: str, *setup: str) -> None:
        self.name = name
        script = " && ".join([f"hostname {name}", *setup, _PROCESS_1])
        self._maker = subprocess.Popen(
            [*_MADE_BY, "sh", "-ec", script], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE
        )
        assert self._maker.stdout is not None
        assert self._maker.stdout.readline() == b"\n", f"the namespaces of {name} are not made"
        (self.pid,) = syscalls.children_of(self._maker.pid)
        self._processes = _id_of(self.pid)
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
        process = subprocess.run(
            ["ip", *words],
            preexec_fn=lambda: _set(self._open[0], 0),
            capture_output=True,
            text=True,
            check=False,
        )
        assert process.returncode == 0, f"ip {words} in {self.name}: {process.stderr}"

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

    @property
    def id(self) -> str:
        """The id of the process namespace."""
        return str(self._processes)

    def has(self, pid: int) -> bool:
        """Whether a process of outside is one of those in there."""
        with suppress(OSError):
            return _id_of(pid) == self._processes
        return False

    def close(self) -> None:
        """Kill all that is in there."""
        self._maker.kill()
        self._maker.communicate()
        for descriptor in (*self._open, self._inside, self._outside):
            os.close(descriptor)

    def _enter(self, cwd: str | Path) -> None:
        for descriptor in self._open:
            _set(descriptor, 0)
        os.chdir(cwd)


def _id_of(pid: int) -> int:
    return Path(f"/proc/{pid}/ns/pid").stat().st_ino


def _set(descriptor: int, kind: int) -> None:
    if _libc.setns(descriptor, kind) != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
