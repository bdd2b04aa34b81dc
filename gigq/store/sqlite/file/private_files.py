"""Safe use of gigq's files beside a database, where another account may have placed files.

The folder of a database may be shared, and the name of the folder beside it is known. So that
folder must not be a link and must belong to this account, to the database's owner or to root. A
file in it is opened without following a link and without waiting, and must be of the kind that gigq
makes. Files that root makes get the folder's owner, as SQLite's own files do.
"""

from __future__ import annotations

import errno
import fcntl
import os
import stat
from contextlib import suppress
from functools import cache
from pathlib import Path

_FOLDER_FLAGS = os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_FLAGS = os.O_RDWR | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC
_TO_READ = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
SUFFIX = ".gigq"
"""The suffix that the folder's name adds to the name of the database."""

_FOLDER_MODE = 0o700
_FILE_MODE = 0o600


def make_folder(folder: Path) -> None:
    """Make the folder `<database>.gigq` if it is missing.

    Raises:
        OSError: it cannot be made, or another account may have placed it there.
    """
    try:
        found = os.lstat(folder)
    except FileNotFoundError:
        with suppress(FileExistsError):
            os.mkdir(folder, _FOLDER_MODE)  # noqa: PTH102 - beside the lstat
            _give_to_owner_of(_database_of(folder), folder)
        found = os.lstat(folder)
    _check_folder(found, folder)


def open_file(path: Path, *, kind: int = stat.S_IFREG) -> int:
    """Open a file of a private folder for reading and writing; make it when it is missing.

    Args:
        path: the file; `make_folder` has made its folder.
        kind: the type of the file, `stat.S_IFREG` or `stat.S_IFIFO`.

    Raises:
        OSError: the file cannot be opened or made, is a link or of another kind, or another
            account may have placed its folder there.
    """
    folder = _opened_folder(path.parent)
    try:
        while True:
            try:
                return _checked(os.open(path.name, _FLAGS, dir_fd=folder), path, kind)
            except FileNotFoundError:
                with suppress(FileExistsError):
                    _make(path, kind, folder)
    except OSError as error:
        raise _of_a_link(error, path) from error
    finally:
        os.close(folder)


def is_at(path: str | os.PathLike[str], descriptor: int) -> bool:
    """Return True while the file at `path` is the one that a descriptor has open."""
    with suppress(OSError):
        return os.path.samestat(os.lstat(path), os.fstat(descriptor))
    return False


def try_flock(descriptor: int, kind: int) -> bool:
    """Take a lock of flock(2) on an open file; return False while another process holds one.

    Raises:
        OSError: the file system has no such locks.
    """
    try:
        fcntl.flock(descriptor, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def write(path: Path, content: bytes) -> None:
    """Replace the content of a file of a private folder; make it when it is missing.

    Raises:
        OSError: as `open_file`, or the content cannot be written.
    """
    descriptor = open_file(path)
    try:
        os.ftruncate(descriptor, os.pwrite(descriptor, content, 0))
    finally:
        os.close(descriptor)


def read(path: Path, most: int) -> bytes:
    """Return the first bytes of a file of a private folder, and make nothing.

    Args:
        path: the file.
        most: the number of bytes.

    Raises:
        OSError: the file cannot be read, or is a link or of another kind.
    """
    descriptor = os.open(path, _TO_READ)
    try:
        require_kind(descriptor, path, stat.S_IFREG)
        return os.read(descriptor, most)
    finally:
        os.close(descriptor)


def require_kind(descriptor: int, path: str | os.PathLike[str], kind: int) -> None:
    """Refuse an open file of another kind and, for root, one with a second name.

    Raises:
        OSError: gigq has not made the file.
    """
    found = os.fstat(descriptor)
    if stat.S_IFMT(found.st_mode) != kind:
        raise _refused(path, "is not the kind of file that gigq makes there")
    # The folder's owner may have linked to a file that only root can open.
    if os.geteuid() == 0 and found.st_nlink > 1 and _owner_of(os.path.dirname(path)):  # noqa: PTH120
        raise _refused(path, "has a second name")


def is_known(uid: int) -> bool:
    """Return True when a user id belongs to exactly one account.

    In a user namespace, as with PrivateUsers= of systemd, every account without a number of its
    own shows as the overflow id, which is that of `nobody` outside.
    """
    overflow, ranges = _user_ids()
    return uid != overflow or any(first <= uid < first + count for first, count in ranges)


@cache
def _user_ids() -> tuple[int, list[tuple[int, int]]]:
    """Return the overflow id and this namespace's ranges of ids, which a fork does not change."""
    try:
        overflow = int(Path("/proc/sys/kernel/overflowuid").read_text(encoding="ascii"))
        lines = Path("/proc/self/uid_map").read_text(encoding="ascii").splitlines()
    except OSError:
        return -1, []
    fields = [line.split() for line in lines]
    return overflow, [(int(first), int(count)) for first, _outside, count in fields]


def _check_folder(found: os.stat_result, folder: Path) -> None:
    if not stat.S_ISDIR(found.st_mode):
        raise _refused(folder, "is no folder")
    if found.st_mode & stat.S_IWOTH:
        raise _refused(folder, "may be written by every account")
    if found.st_uid in (0, os.geteuid()):
        return
    if not is_known(found.st_uid) or found.st_uid != _owner_of(_database_of(folder)):
        raise _refused(
            folder, f"belongs to user id {found.st_uid}, neither to this account nor the database's"
        )


def _database_of(folder: Path) -> str:
    return str(folder).removesuffix(SUFFIX)


def _opened_folder(folder: Path) -> int:
    """Open the folder and check it, so that no other folder can be put in its place."""
    try:
        descriptor = os.open(folder, _FOLDER_FLAGS)
    except NotADirectoryError as error:
        raise _refused(folder, "is no folder") from error
    try:
        _check_folder(os.fstat(descriptor), folder)
    except OSError:
        os.close(descriptor)
        raise
    return descriptor


def _checked(descriptor: int, path: Path, kind: int) -> int:
    try:
        require_kind(descriptor, path, kind)
    except OSError:
        os.close(descriptor)
        raise
    return descriptor


def _make(path: Path, kind: int, folder: int) -> None:
    if kind == stat.S_IFIFO:
        os.mkfifo(path.name, _FILE_MODE, dir_fd=folder)
    else:
        flags = _FLAGS | os.O_CREAT | os.O_EXCL
        os.close(os.open(path.name, flags, _FILE_MODE, dir_fd=folder))
    _give_to_owner_of(path.parent, Path(path.name), folder)


def _give_to_owner_of(other: str | os.PathLike[str], path: Path, folder: int | None = None) -> None:
    """Give a file that root has made to the owner of `other`, who could not use it otherwise."""
    if os.geteuid() == 0:
        with suppress(OSError):
            there = os.stat(other)  # noqa: PTH116
            os.chown(path, there.st_uid, there.st_gid, dir_fd=folder, follow_symlinks=False)


def _owner_of(path: str | os.PathLike[str]) -> int | None:
    try:
        return os.stat(path).st_uid  # noqa: PTH116 - as the callers have it
    except OSError:
        return None


def _of_a_link(error: OSError, path: Path) -> OSError:
    return _refused(path, "is a symbolic link") if error.errno == errno.ELOOP else error


def _refused(path: str | os.PathLike[str], why: str) -> OSError:
    text = f"{path} {why}; another account may have placed it there, remove it"
    return PermissionError(errno.EPERM, text)
