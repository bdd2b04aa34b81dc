"""Control groups: one for each worker, where the system has delegated a group to the daemon.

A process cannot leave its group by forking, by a session of its own or by emptying its environment,
and one write to `cgroup.kill` kills all that is in it, also while it forks (version 2, Linux 5.14).

A group is delegated when it has the attribute that systemd sets for `Delegate=yes`. Other groups
may be writable, for root or below a user's own manager, but the daemon must not divide them. Where
no group is delegated, processes are found by the other ways of gigqd/process/kill_tree.py alone.
The decision is docs/decisions/0013-a-control-group-for-each-worker.md.
"""

from __future__ import annotations

import os
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from gigqd import logs
from gigqd.errors import is_out_of_files
from gigqd.linux import syscalls

if TYPE_CHECKING:
    from gigqd.linux.syscalls import Process

log = logs.get_logger(__name__)

_OWN_GROUP = "gigqd"
_PREFIX = "gigqd-worker-"
_ATTRIBUTES = ("user.delegate", "trusted.delegate")


class ControlGroup(NamedTuple):
    """The control group of a worker.

    Attributes:
        folder: its directory in the cgroup file system.
    """

    folder: Path

    def kill(self) -> bool:
        """Send SIGKILL to all its processes at once; return False when the kernel refuses."""
        with suppress(OSError):
            (self.folder / "cgroup.kill").write_text("1")
            return True
        return False

    def processes(self) -> list[Process]:
        """Return the live processes in it."""
        found: list[Process] = []
        with suppress(OSError):
            for pid in (self.folder / "cgroup.procs").read_text().split():
                with suppress(ProcessLookupError):
                    found.append(syscalls.read_process(int(pid)))
        return [process for process in found if process.alive]

    @property
    def is_empty(self) -> bool:
        """True when no process in it is alive, or the group is gone."""
        try:
            return "populated 0" in (self.folder / "cgroup.events").read_text().splitlines()
        except OSError as error:
            return not is_out_of_files(error)

    def remove(self) -> None:
        """Remove it if it is empty; otherwise the next start removes it."""
        with suppress(OSError):
            self.folder.rmdir()


class Delegation(NamedTuple):
    """A control group that systemd has delegated to the daemon.

    Attributes:
        folder: its directory in the cgroup file system.
    """

    folder: Path

    @classmethod
    def find(cls) -> Delegation | None:
        """Return the group of this process, if it is delegated and can be killed as a whole."""
        folder = own_folder()
        if folder is None or not _is_delegated(folder) or not (folder / "cgroup.kill").exists():
            return None
        return cls(folder)

    def enter(self) -> None:
        """Move this process to a subgroup of its own, and remove empty ones of dead daemons.

        Raises:
            OSError: the group cannot be written.
        """
        cgroup = self.folder / _OWN_GROUP
        cgroup.mkdir(exist_ok=True)
        (cgroup / "cgroup.procs").write_text("0")
        for old in self.folder.glob(f"{_PREFIX}*"):
            ControlGroup(old).remove()

    def make_group(self, name: str) -> ControlGroup | None:
        """Make the group of a worker; return None when that fails."""
        cgroup = ControlGroup(self.folder / f"{_PREFIX}{name}")
        try:
            cgroup.folder.mkdir()
        except OSError as error:
            log.warning("cgroup_failed", path=str(cgroup.folder), error=str(error))
            return None
        return cgroup


def enter_delegated_group() -> Delegation | None:
    """Enter the delegated group; return None when there is none or it cannot be used."""
    delegation = Delegation.find()
    if delegation is None:
        return None
    try:
        delegation.enter()
    except OSError as error:
        log.warning("cgroup_failed", path=str(delegation.folder), error=str(error))
        return None
    return delegation


def join(cgroup: ControlGroup | None) -> None:
    """Move this process, which has just been forked, into its group, if it has one."""
    if cgroup is None:
        return
    try:
        (cgroup.folder / "cgroup.procs").write_text("0")
    except OSError as error:
        log.warning("cgroup_failed", path=str(cgroup.folder), error=str(error))


@cache
def own_folder() -> Path | None:
    """Return the directory of the version 2 group that this process was in at the first call."""
    with suppress(OSError):
        mount = _mount_point(Path("/proc/self/mountinfo").read_text())
        path = _own_path(Path("/proc/self/cgroup").read_text())
        if mount is not None and path is not None:
            point, root = mount
            inside = os.path.relpath(path, root)
            folder = Path(point) if inside == "." else Path(point, inside)
            return folder if folder.is_dir() and ".." not in inside else None
    return None


def _is_delegated(folder: Path) -> bool:
    writable = os.access(folder, os.W_OK) and os.access(folder / "cgroup.procs", os.W_OK)
    return writable and any(_has_attribute(folder, attribute) for attribute in _ATTRIBUTES)


def _has_attribute(folder: Path, attribute: str) -> bool:
    try:
        return os.getxattr(folder, attribute) == b"1"
    except OSError:
        return False


def _own_path(text: str) -> str | None:
    """Return the path of the version 2 group in the text of /proc/<pid>/cgroup."""
    lines = (line.split(":", 2) for line in text.splitlines())
    return next((path for number, _, path in lines if number == "0"), None)


def _mount_point(text: str) -> tuple[str, str] | None:
    """Return where groups of version 2 are mounted, and which group is the root there."""
    for line in text.splitlines():
        fields, _, rest = line.partition(" - ")
        if rest.split(" ", 1)[0] == "cgroup2":
            _, _, _, root, point, *_ = fields.split(" ")
            return point, root
    return None
