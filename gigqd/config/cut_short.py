"""A file of the configuration that is caught while it is rewritten in place."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gigqd.config.source import read_limited
from gigqd.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from gigqd.config.schema import Config

    Texts = Mapping[Path, bytes]


def texts_of(config: Config) -> Texts:
    """Return what the configuration's files hold now; those that cannot be read are left out."""
    found = {}
    for path in (config.source, config.code.environment_file):
        if path is not None:
            try:
                found[path] = read_limited(path)
            except ConfigError:
                continue
    return found


def cut_short(texts: Texts, in_force: Texts) -> list[Path]:
    """Return the files that hold only the beginning of what they held when they were taken."""
    return [
        path
        for path, text in texts.items()
        if len(text) < len((taken := in_force.get(path, b"")).rstrip()) and taken.startswith(text)
    ]
