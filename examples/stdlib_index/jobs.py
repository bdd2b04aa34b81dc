"""The functions that run as jobs: what they are given and what they return is JSON."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

from stdlib_index.source import add_up, summarize


def index_file(path: str) -> dict[str, Any]:
    """Index one source file."""
    return summarize(Path(path).read_bytes(), path)


def merge_package(parent_results: dict[str, dict[str, Any]]) -> dict[str, Any]:
    """Add up the files of a package."""
    return add_up(list(parent_results.values()))


def merge_all(most: int, parent_results: dict[str, dict[str, Any]]) -> dict[str, Any]:
    """Add up the packages, and keep only the names that are defined most often."""
    total = add_up(list(parent_results.values()))
    names = Counter(total.pop("names"))
    # Sorted first, so that among names with one count it is always the same ones that are kept.
    ranked = sorted(names.items(), key=lambda item: (-item[1], item[0]))
    return {**total, "names": len(names), "most_defined": ranked[:most]}
