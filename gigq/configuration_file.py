"""Search for gigqd's configuration, for both commands, when no option names it."""

from __future__ import annotations

import os
import stat
from typing import TYPE_CHECKING, NamedTuple

from gigq.model import paths_with_links

if TYPE_CHECKING:
    from collections.abc import Mapping

FOR_THE_HOST = "/etc/gigq.toml"
_VARIABLE = "GIGQD_CONFIG"
_IN_THE_FOLDER = "gigq.toml"


class Search(NamedTuple):
    """The result of a search.

    Attributes:
        file: the path of the file; None when there is none.
        passed_over: a clause for each earlier place, which has no file or one that is not used.
        refused: a sentence about a file that exists and is not used; empty without one.
    """

    file: str | None
    passed_over: tuple[str, ...]
    refused: str = ""


def search(environ: Mapping[str, str]) -> Search:
    """Search for the file that $GIGQD_CONFIG names, else ./gigq.toml, else /etc/gigq.toml.

    Root takes ./gigq.toml only when no other account can have placed it there.

    Args:
        environ: the environment.
    """
    if named := environ.get(_VARIABLE):
        return Search(named, ())
    passed_over = [f"${_VARIABLE} is not set"]
    refused = ""
    for path in (paths_with_links.absolute(_IN_THE_FOLDER), FOR_THE_HOST):
        if not os.path.lexists(path):
            passed_over.append(f"{path} is not there")
        elif why := _refusal(path) if path != FOR_THE_HOST else None:
            refused = f"{path} is not read: {why}"
            passed_over.append(refused)
        else:
            return Search(path, tuple(passed_over), _sentence(refused, f"{path} is used instead"))
    return Search(None, tuple(passed_over), _sentence(refused, "no other is found"))


def _sentence(refused: str, instead: str) -> str:
    return f"{refused}; {instead}; name it with --config to use it" if refused else ""


def _refusal(path: str) -> str | None:
    """Return why root may not use a file of the working directory; None when it may."""
    if os.geteuid() != 0:
        return None
    folder = os.path.dirname(path)  # noqa: PTH120
    try:
        found = [(folder, os.stat(folder)), (path, os.lstat(path)), (path, os.stat(path))]  # noqa: PTH116
    except OSError as error:
        return error.strerror
    for each, status in found:
        if status.st_uid != 0:
            return f"root takes it only from root, and {each} belongs to user id {status.st_uid}"
        if _others_may_write(status):
            return f"root takes it only from root, and other accounts may write {each}"
    return None


def _others_may_write(found: os.stat_result) -> bool:
    if stat.S_ISLNK(found.st_mode):
        return False
    return bool(found.st_mode & stat.S_IWOTH or (found.st_mode & stat.S_IWGRP and found.st_gid))
