"""Reading of the configuration for a reload, repeated while a file is being rewritten."""

from __future__ import annotations

import os
import time
from contextlib import suppress
from typing import TYPE_CHECKING

from gigqd import logs
from gigqd.config import compare, load, without_restart
from gigqd.config.parse import read_limited
from gigqd.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from gigqd.config import Changes, Config

    Texts = Mapping[Path, bytes]

log = logs.get_logger(__name__)

_REWRITTEN_WITHIN = 2.0
_AGAIN_AFTER = 0.05


class ConfigReader:
    """Reads the configuration's files, and keeps their text as it was last applied.

    Args:
        config: the configuration in force, just read.

    Attributes:
        at: when to read again, in seconds of the monotonic clock; infinity when nothing is read.
    """

    def __init__(self, config: Config) -> None:
        self.at = float("inf")
        self._in_force = self._texts = _texts_of(config)
        self._until = 0.0

    @property
    def active(self) -> bool:
        """Return True while a reading is in progress."""
        return self.at < float("inf")

    def begin(self) -> None:
        """Have the files read at the next step."""
        self.at = time.monotonic()
        self._until = self.at + _REWRITTEN_WITHIN

    def abandon(self) -> None:
        """End a reading without a result."""
        self.at = float("inf")

    def read(self, current: Config) -> tuple[Config, Changes] | None:
        """Read the files once.

        Returns:
            The configuration and what it changes; None when they are to be read again, because
            one holds only the beginning of what is in force, or has changed just now.

        Raises:
            ConfigError: the configuration is refused; nothing has changed then.
        """
        self._texts = _texts_of(current)
        short = _cut_short(self._texts, self._in_force)
        if short and self._may_wait():
            return None
        try:
            config, changes = read_again(current)
        except ConfigError:
            if self._is_changing(current):
                return None
            self.abandon()
            raise
        if self._is_changing(current):
            return None
        for path in short:
            text = f"{path} holds only the beginning of what it held before, and is taken so"
            log.warning("config_warning", warning=text)
        self.abandon()
        return config, changes

    def note_applied(self) -> None:
        """Remember what was read last as the text in force."""
        self._in_force = self._texts

    def _is_changing(self, current: Config) -> bool:
        return _texts_of(current) != self._texts and self._may_wait()

    def _may_wait(self) -> bool:
        now = time.monotonic()
        self.at = now + _AGAIN_AFTER
        return now < self._until


def read_again(current: Config) -> tuple[Config, Changes]:
    """Return the configuration as it is on disk now, and what it changes.

    Keys that only a restart can change keep their current value; they are named in the changes.

    Raises:
        ConfigError: the file is refused; nothing has changed then.
    """
    wanted = load(current.source, os.environ)
    return without_restart(current, wanted), compare(current, wanted)


def _texts_of(config: Config) -> Texts:
    """Return the text of the configuration's files; those that cannot be read are left out."""
    found = {}
    for path in (config.source, config.code.environment_file):
        if path is not None:
            with suppress(ConfigError):
                found[path] = read_limited(path)
    return found


def _cut_short(texts: Texts, in_force: Texts) -> list[Path]:
    """Return the files that hold only the beginning of their text as it was last applied."""
    return [
        path
        for path, text in texts.items()
        if len(text) < len((applied := in_force.get(path, b"")).rstrip())
        and applied.startswith(text)
    ]
