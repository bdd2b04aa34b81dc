"""Paths in a unit: the folders that it must allow to be written, and those that it hides."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from gigqd import exit_codes
from gigqd.cli.output import print_error
from gigqd.config.load import identify
from gigqd.errors import ConfigError, GigqdError

if TYPE_CHECKING:
    from collections.abc import Iterable

_STATE = Path("/var/lib/gigq")
_PRIVATE = (Path("/tmp"), Path("/var/tmp"))  # noqa: S108 - compared with, not written to
_PREFIXES_OF_MAN = ("/usr", "/usr/local")
_PLAIN = re.compile(r"[\w./+:=@%-]+")


def quoted(word: str) -> str:
    """Return a word as a unit has it, with quotes when it needs them."""
    return word if _PLAIN.fullmatch(word) else f'"{word}"'


def escaped(word: str) -> str:
    """Return a word in which systemd replaces nothing.

    Raises:
        GigqdError: it has characters that a line of a unit cannot have.
    """
    if not word.isprintable():
        raise GigqdError(
            f"a unit cannot name a path with control characters or undecodable bytes, as {word!r} "
            "has; rename it",
            exit_code=exit_codes.USAGE,
        )
    return re.sub(r'["\\]', r"\\\g<0>", word).replace("%", "%%")


def folders_to_write(file: Path) -> list[Path]:
    """Return the folders outside of the unit's own that the daemon of a configuration writes to.

    Args:
        file: the configuration; none are known while it is missing or wrong.
    """
    if not file.is_file():
        return []
    try:
        config = identify(file, {})
    except ConfigError:
        return []
    folders = {config.place.parent, config.daemon.runtime_dir}
    if config.log.file:
        folders.add(config.log.file.parent)
    within = [_STATE, *folders]
    return sorted(
        folder
        for folder in folders
        if not any(folder != other and folder.is_relative_to(other) for other in within)
        and folder != _STATE
    )


def directive_for(folders: list[Path]) -> str:
    """Return the lines that allow the folders to be written; none for none.

    With `-` a folder that is missing is the daemon's error, with its name, and not that of systemd.
    """
    if not folders:
        return ""
    words = " ".join(quoted(f"-{escaped(str(folder))}") for folder in folders)
    return f"# The folders that the configuration names.\nReadWritePaths={words}\n"


def warn_of_hidden(paths: Iterable[Path]) -> None:
    """Warn of the first path that the unit does not have."""
    for path in paths:
        if any(path.is_relative_to(folder) for folder in _PRIVATE):
            print_error(
                f"gigqd: warning: the unit has folders /tmp and /var/tmp of its own"
                f" (PrivateTmp=yes), without {path}; move it to another folder"
            )
            return


def documentation() -> str:
    """Return the manual pages of this installation by their paths; "" where man(1) finds them."""
    if sys.prefix in _PREFIXES_OF_MAN:
        return ""
    pages = [Path(sys.prefix, "share/man/man1", name) for name in ("gigqd.1", "gigq.1")]
    return " ".join(page.as_uri().replace("%", "%%") for page in pages if page.is_file())
