"""Configurations for tests, all below one temporary directory."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING, Any

from gigqd.config import Config, load

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path


_NOT_INHERITED = (
    "GIGQ",
    "COLUMNS",
    "NOTIFY_SOCKET",
    "WATCHDOG_",
    "INVOCATION_ID",
    "RUNTIME_DIRECTORY",
)


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
    return config.replace(daemon=config.daemon.replace(**daemon))


def to_toml(settings: Mapping[str, Any]) -> str:
    """Dotted keys as a TOML document; keys whose value is None are left out."""
    tables: dict[str, list[str]] = {}
    for dotted, value in settings.items():
        table, _, key = dotted.rpartition(".")
        if value is not None:
            tables.setdefault(table, []).append(f"{key} = {json.dumps(value)}")
    return "\n".join("\n".join([f"[{table}]", *lines, ""]) for table, lines in tables.items())


def clean_environment() -> dict[str, str]:
    """This process's environment without what would change a daemon's configuration or place."""
    return {
        name: value for name, value in os.environ.items() if not name.startswith(_NOT_INHERITED)
    }
