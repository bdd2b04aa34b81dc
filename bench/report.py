"""Tables."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pathlib import Path


def write(out: Path, record: dict[str, Any]) -> None:
    """Write tables."""
