"""Permanent change from root to the daemon's account, which gets its directories before."""

from __future__ import annotations

import ctypes
import grp
import os
import pwd
from contextlib import suppress
from typing import TYPE_CHECKING, NamedTuple

from gigqd import exit_codes
from gigqd.config import DEVICES
from gigqd.config.writable_by_others import keep_the_rules_of_root
from gigqd.errors import GigqdError
from gigqd.host import ownership

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from gigqd.config import Config
    from gigqd.host.runtime_files import RuntimeFiles

_FOLDER_MODE = 0o750
# Much of Python's library and of gigqd's is read only when it is first needed.
_OWN_CODE = (os.__file__, __file__)
_PR_SET_DUMPABLE = 4  # of prctl(2), from <linux/prctl.h>


class NotPermitted(GigqdError):  # noqa: N818 - a sentence, as the library's errors are
    """The kernel refuses the daemon's account, or access to a file that the daemon needs."""

    exit_code = exit_codes.NOT_PERMITTED


class Account(NamedTuple):
    """A user and the group to run with."""

    name: str
    uid: int
    gid: int


def find_account(user: str | None, group: str | None) -> Account | None:
    """Return the account to run as; None to keep the present one.

    Args:
        user: a user's name; None keeps the current user.
        group: a group's name; None for the user's own group.

    Raises:
        NotPermitted: there is no such user or group.
    """
    if user is None and group is None:
        return None
    try:
        gid = grp.getgrnam(group).gr_gid if group else os.getegid()
        if user is None:
            return Account(account_name(), os.geteuid(), gid)
        entry = pwd.getpwnam(user)
    except KeyError as error:
        raise NotPermitted(f"cannot run as {user or ''}:{group or ''}: {error.args[0]}") from error
    return Account(entry.pw_name, entry.pw_uid, gid if group else entry.pw_gid)


def account_name() -> str:
    """Return the name of this process's account, or its number, as in many containers."""
    try:
        return pwd.getpwuid(os.geteuid()).pw_name
    except KeyError:
        return f"user id {os.geteuid()}"


def become(config: Config, runtime_files: RuntimeFiles) -> None:
    """Give the daemon's directories to its configured account, and change to it for good.

    Call it before a file in those directories is opened. Without a configured account, or when this
    process already runs as it, nothing changes.

    Raises:
        NotPermitted: the change is refused, or the account cannot write to a directory.
    """
    account = find_account(config.daemon.user, config.daemon.group)
    if account is not None and account.uid != 0 and os.geteuid() == 0:
        _prepare(account, config, runtime_files)
    if account is not None and not _is_already(account):
        if os.geteuid() == 0:
            keep_the_rules_of_root()
        drop_privileges(account)
        _name_in_environment(account)
    if account is not None:
        check_access(config, (runtime_files.directory, config.place.parent))


def check_access(config: Config, folders: Iterable[Path]) -> None:
    """Refuse an account without access to gigqd's code, its folders or its working directory.

    Args:
        config: the configuration, with the working directory.
        folders: the folders in which this account must be able to write, if they exist.

    Raises:
        NotPermitted: with the account and the path that it cannot use.
    """
    who = account_name()
    for file in _OWN_CODE:
        if not os.access(file, os.R_OK):
            raise NotPermitted(
                f"{who} cannot read {file}; install gigqd where {who} may, as in /opt"
            )
    for folder in folders:
        # The account makes a missing runtime directory; an error then has its path.
        refuse_unwritable(folder)
    if not os.access(config.daemon.working_directory, os.X_OK):
        raise NotPermitted(f"{who} cannot enter {config.daemon.working_directory}")


def refuse_unreachable(folder: Path, meant: Path | None = None) -> None:
    """Refuse a folder that this account cannot reach, because it cannot pass one above it.

    Args:
        folder: the folder to reach.
        meant: the folder to name, when `folder` is only on the way to it.

    Raises:
        NotPermitted: with the account and the outermost such directory.
    """
    for above in [*reversed(folder.parents), folder]:
        if not os.access(above, os.F_OK):
            return  # it is missing: another check reports it
        if above.is_dir() and not os.access(above, os.X_OK):
            who = account_name()
            raise NotPermitted(
                f"{who} cannot enter {above}, and so not use {meant or folder}; let {who} pass it "
                f"(setfacl -m u:{who}:x {above}), or choose another folder"
            )


def refuse_unwritable(folder: Path) -> None:
    """Refuse an existing folder in which this account cannot write.

    Raises:
        NotPermitted: with the account and the folder.
    """
    if os.path.lexists(folder) and not os.access(folder, os.W_OK | os.X_OK):
        who = account_name()
        raise NotPermitted(
            f"{who} cannot write in {folder}; change its owner, and let {who} pass through "
            "the folders above it"
        )


def drop_privileges(account: Account) -> None:
    """Change to another account, with its groups only, and make sure that root is out of reach.

    Raises:
        NotPermitted: the kernel refuses, or the process could become root again.
    """
    try:
        os.initgroups(account.name, account.gid)
        os.setgid(account.gid)
        os.setuid(account.uid)
    except OSError as error:
        why = f"cannot become {account.name}: {error.strerror}; only root can change its user"
        raise NotPermitted(why) from error
    if account.uid != 0:
        with suppress(PermissionError):
            os.setuid(0)
            raise NotPermitted(f"still has a way back to root after becoming {account.name}")
    # After a change of user the kernel hides the process from that user: the tags and open files
    # of workers could not be read.
    ctypes.CDLL(None).prctl(_PR_SET_DUMPABLE, 1, 0, 0, 0)


def _name_in_environment(account: Account) -> None:
    """Set HOME, USER and LOGNAME as login(1) does, so that jobs do not use root's home."""
    with suppress(KeyError):
        os.environ["HOME"] = pwd.getpwuid(account.uid).pw_dir
        os.environ.update(USER=account.name, LOGNAME=account.name)


def _is_already(account: Account) -> bool:
    return os.getresuid() == (account.uid,) * 3 and os.getresgid() == (account.gid,) * 3


def _prepare(account: Account, config: Config, runtime_files: RuntimeFiles) -> None:
    """Give the account the log and the folders of the daemon, unless they have other files."""
    log = config.log.file
    if log is not None and str(log) not in DEVICES:
        ownership.give_file(log, account)
        ownership.give_directory(log.parent, account, make=None, fits=_are_gigqds)
    # The database's folder first: by default the runtime directory is made in it.
    if config.database_file:
        database = config.database_file.parent
        ownership.give_directory(database, account, make=_FOLDER_MODE, fits=_is_empty)
    ownership.give_directory(runtime_files.directory, account, make=_FOLDER_MODE, fits=_are_gigqds)


def is_to_be_given(folder: Path) -> bool:
    """Return True when a start by root gives a database's folder to the daemon's account.

    Args:
        folder: a missing one is made; one of root's is given when it is empty.
    """
    return ownership.would_give_directory(folder, _is_empty)


def is_place_to_be_given(folder: Path) -> bool:
    """Return True when a start by root gives a runtime directory to the daemon's account.

    Args:
        folder: a missing one is made; one of root's is given when it has files of gigqd only.
    """
    return ownership.would_give_directory(folder, _are_gigqds)


def _are_gigqds(names: list[str]) -> bool:
    return all(name.startswith(("gigqd.", "gigqd-", ".gigqd")) for name in names)


def _is_empty(names: list[str]) -> bool:
    return not names
