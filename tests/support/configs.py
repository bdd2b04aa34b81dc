"""Configurations for tests, all below one temporary directory."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from gigqd.config import Config, load

if TYPE_CHECKING:
    from pathlib import Path


def write_config(home: Path, text: str = "") -> Path:
    """Write a minimal configuration file.

    Args:
        home: where the database, the runtime directory and the file itself lie.
        text: further tables; it must not repeat the [daemon] and [queue] tables.
    """
    path = home / "gigq.toml"
    path.write_text(f'[daemon]\nruntime_dir = "run"\n[queue]\ndatabase = "jobs.db"\n{text}\n')
    return path


def config_in(home: Path, **daemon: object) -> Config:
    """A minimal configuration below `home`, with some keys of its daemon table replaced."""
    config = load(write_config(home), {})
    return replace(config, daemon=replace(config.daemon, **daemon))
