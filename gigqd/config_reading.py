"""Reading the configuration for a reload, again where a file is caught while it is rewritten."""

from __future__ import annotations

import os
import time
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from gigqd import logs
from gigqd.config import compare, load, schema
from gigqd.config.cut_short import cut_short, texts_of
from gigqd.config.keys import Effect, key_of
from gigqd.errors import ConfigError

if TYPE_CHECKING:
    from gigqd.config import Changes, Config

log = logs.get_logger("gigqd.reload")

_REWRITTEN_WITHIN = 2.0
_AGAIN_AFTER = 0.05


class ConfigReader:
    """Reads the configuration's files, and knows what they held when they were last taken.

    Args:
        config: the configuration in force, just read.

    Attributes:
        at: when to read again, in seconds of the monotonic clock; infinity when nothing is read.
    """

    def __init__(self, config: Config) -> None:
        self.at = float("inf")
        self._in_force = self._texts = texts_of(config)
        self._until = 0.0

    @property
    def active(self) -> bool:
        """Whether a reading has begun and not ended."""
        return self.at < float("inf")

    def begin(self) -> None:
        """Have the files read at the next turn."""
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
        self._texts = texts_of(current)
        short = cut_short(self._texts, self._in_force)
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

    def taken(self) -> None:
        """Remember what was read last as the text in force."""
        self._in_force = self._texts

    def _is_changing(self, current: Config) -> bool:
        return texts_of(current) != self._texts and self._may_wait()

    def _may_wait(self) -> bool:
        now = time.monotonic()
        self.at = now + _AGAIN_AFTER
        return now < self._until


def read_again(current: Config) -> tuple[Config, Changes]:
    """The configuration as it is on disk now, and what it changes.

    Keys that only a restart can change keep their current value; they are named in the changes.

    Raises:
        ConfigError: the file is refused; nothing has changed then.
    """
    wanted = load(current.source, os.environ)
    changes = compare(current, wanted)
    tables = {
        table: _keep_what_needs_a_restart(getattr(current, table), getattr(wanted, table))
        for table in schema.TABLES
    }
    return replace(wanted, **tables), changes


def _keep_what_needs_a_restart(current: Any, wanted: Any) -> Any:
    kept = {
        name: getattr(current, name)
        for name, item in schema.keys(type(wanted)).items()
        if key_of(item).effect is Effect.RESTART
    }
    return replace(wanted, **kept)
