"""Paths of database files, and the file systems on which SQLite can keep them consistent."""

from __future__ import annotations

import os
import re
import stat
from functools import lru_cache
from pathlib import Path
from typing import Any

from gigq.errors import StoreUnavailable, UnsupportedStore
from gigq.model.database_address import SCHEME, address_begin, is_address

_NETWORK = frozenset(
    {"9p", "afs", "beegfs", "ceph", "cifs", "coda", "gfs2", "glusterfs", "gpfs", "lustre", "ncpfs"}
    | {"nfs", "nfs4", "ocfs2", "orangefs", "smb2", "smb3", "smbfs"}
    # Folders of the host in a virtual machine or a container: the other side shares no memory.
    | {"drvfs", "fakeowner", "prl_fs", "vboxsf", "virtiofs", "vmhgfs"}
)
_LOCAL_FUSE = frozenset({"fuse.fuse-overlayfs"})
_MOUNTS = "/proc/self/mountinfo"
_KINDS = {
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
    stat.S_IFIFO: "a FIFO",
    stat.S_IFSOCK: "a socket",
}
_OCTAL = re.compile(rb"\\([0-3][0-7]{2})")


def resolve(path: str | os.PathLike[str]) -> str:
    """Return the one absolute path of a database file; the file need not exist.

    Raises:
        UnsupportedStore: `path` does not name a file.
        StoreUnavailable: root was given another account's link to a missing file.
    """
    text = os.fspath(path)
    if text.startswith("/"):
        return _real(text)
    if not text or text == ":memory:" or text.startswith("file:"):
        raise UnsupportedStore(f"{text!r} is not a path to a file; give a file name")
    refuse_address(text)
    return _real(os.path.abspath(os.path.expanduser(text)))  # noqa: PTH100, PTH111 - hot path


def refuse_address(text: str) -> None:
    """Refuse a text that names a server; the message shows only its begin, and no password.

    Raises:
        UnsupportedStore: it is an address, also one with a mistake.
    """
    begin = address_begin(text)
    if begin is None:
        return
    if is_address(begin):
        raise UnsupportedStore(
            "this needs a file, and was given the address of a PostgreSQL server"
        )
    if SCHEME.fullmatch(begin):
        raise UnsupportedStore(
            f"{begin} addresses are not supported; give the path of a file, or postgresql://"
        )
    raise UnsupportedStore(
        f"{begin!r} begins neither the path of a file nor an address; write "
        "postgresql://USER@HOST/DATABASE"
    )


def absolute(path: str | os.PathLike[str]) -> str | os.PathLike[str]:
    """Return a relative path as an absolute one for the current directory; links are kept.

    A path that is absolute already, and text that names no file, is returned unchanged.

    Raises:
        StoreUnavailable: the path is relative and the working directory was deleted.
    """
    text = os.fspath(path)
    is_name = text == ":memory:" or text.startswith("file:") or address_begin(text)
    if text[:1] in ("/", "") or is_name:
        return path
    try:
        made = os.path.abspath(os.path.expanduser(text))  # noqa: PTH100, PTH111
    except FileNotFoundError as error:
        raise StoreUnavailable(
            f"{text!r} is relative and the working directory was deleted; give an absolute path"
        ) from error
    return made if isinstance(path, str) else Path(made)


class DatabasePath:
    """An attribute for the path of a database file, made absolute when it is set.

    The process or a job may change the working directory later.
    """

    def __set_name__(self, _owner: type, name: str) -> None:
        self._name = f"_{name}"

    def __get__(self, instance: Any, _owner: type | None = None) -> Any:
        return None if instance is None else instance.__dict__.get(self._name)

    def __set__(self, instance: Any, path: str | os.PathLike[str] | None) -> None:
        instance.__dict__[self._name] = None if path is None else absolute(path)


@lru_cache(maxsize=256)
def _real(absolute: str) -> str:
    # Two names of one file would get two sets of locks and two companion folders.
    real = os.path.realpath(absolute)
    if os.geteuid() == 0:
        _refuse_link_of_another(absolute, real)
    return real


def _refuse_link_of_another(absolute: str, real: str) -> None:
    """Refuse, as root, to create a file to which a link of an ordinary account points.

    Raises:
        StoreUnavailable: the path is such a link, and the file does not exist.
    """
    if os.path.islink(absolute) and not os.path.lexists(real):  # noqa: PTH114
        owner = os.lstat(absolute).st_uid
        if owner != 0:
            raise StoreUnavailable(
                f"{absolute} is a link of user id {owner} to {real}, which does not exist; root "
                "begins no file there: remove the link, or begin the queue as that account"
            )


def refuse_other_kind(path: str) -> None:
    """Refuse a folder, a device, a FIFO or a socket at the path.

    Raises:
        StoreUnavailable: the path names one of those.
    """
    try:
        mode = os.stat(path).st_mode  # noqa: PTH116 - as all of this module
    except OSError:
        return
    if stat.S_ISDIR(mode):
        raise StoreUnavailable(f"{path} is a folder; name a file in it: {path}/gigq.db")
    if not stat.S_ISREG(mode):
        kind = _KINDS.get(stat.S_IFMT(mode), "of another kind")
        raise StoreUnavailable(f"{path} is {kind} and not a file; name a file, or a new one")


def refuse_network(path: str, mounts: str | None = None) -> None:
    """Refuse a database on a network file system.

    Args:
        path: absolute path of the database file.
        mounts: text in the form of /proc/self/mountinfo; read from there when None.

    Raises:
        UnsupportedStore: the file would lie on a network file system.
    """
    kind = file_system_of(path, _own_mounts() if mounts is None else mounts)
    if is_network(kind):
        raise UnsupportedStore(
            f"{path} is on a network file system ({kind}), where SQLite cannot keep the file "
            "consistent: WAL needs memory shared by all processes; use a local disk"
        )


def kind_of(path: str) -> str:
    """Return the type of the file system that holds `path` now; "" when unknown."""
    return file_system_of(path, _own_mounts())


def file_system_of(path: str, mounts: str) -> str:
    """Return the type of the file system that holds `path`, or "" when no mount covers it."""
    best, kind = "", ""
    # Not `split()`: a mount point may hold what Python takes for a blank or a line's end.
    for line in filter(None, mounts.split("\n")):
        left, _, right = line.partition(" - ")
        point = _unescaped(left.split(" ")[4])
        if _covers(point, path) and len(point) >= len(best):
            best, kind = point, right.split(" ")[0]
    return kind


def is_network(kind: str) -> bool:
    """Return True when SQLite cannot keep a file consistent on this type of file system."""
    return kind in _NETWORK or (kind.startswith("fuse.") and kind not in _LOCAL_FUSE)


def _covers(point: str, path: str) -> bool:
    return point == "/" or path == point or path.startswith(point + "/")


def _unescaped(text: str) -> str:
    # The kernel writes blanks and backslashes in octal, such as \040.
    return os.fsdecode(_OCTAL.sub(lambda found: bytes([int(found[1], 8)]), os.fsencode(text)))


def _own_mounts() -> str:
    try:
        return os.fsdecode(Path(_MOUNTS).read_bytes())
    except OSError:
        return ""  # without /proc the type is unknown, which counts as local
