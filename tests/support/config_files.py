"""Configuration files for tests of the configuration itself."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from gigqd.config import load
from gigqd.errors import ConfigError

if TYPE_CHECKING:
    from pathlib import Path


def write(home: Path, text: str | bytes) -> Path:
    """Write a file as it is given."""
    path = home / "gigq.toml"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


def complete(text: str) -> str:
    """A text with all that is required on its first line."""
    return f'queue.database = "q.db"\n{text}\n'


def problems(path: Path, environ: dict[str, str] | None = None) -> list[str]:
    """What a file is refused for, without the file's name."""
    with pytest.raises(ConfigError) as caught:
        load(path, environ or {})

    assert caught.value.exit_code == 78
    return [str(p).removeprefix(f"{path}:").strip() for p in caught.value.problems]
