"""The repository as the architecture tests look at it: its files, functions and documents."""

from __future__ import annotations

import ast
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = ("gigq", "gigqd")
MADE_BY_TOOLS = {".git", ".venv", "build", "dist", "__pycache__"}

Function = ast.FunctionDef | ast.AsyncFunctionDef


@dataclass(frozen=True, slots=True)
class Place:
    """A function and where it stands."""

    file: Path
    node: Function

    def __str__(self) -> str:
        """`gigq/queue.py:12 submit`, as an editor jumps to it."""
        return f"{self.file.relative_to(ROOT)}:{self.node.lineno} {self.node.name}"


def modules(*folders: str) -> list[Path]:
    """The Python files below the given folders; those of both packages by default."""
    return sorted(p for folder in folders or PACKAGES for p in (ROOT / folder).rglob("*.py"))


def functions(*folders: str) -> Iterator[Place]:
    """Every function and method below the given folders."""
    for file in modules(*folders):
        for node in ast.walk(parsed(file)):
            if isinstance(node, Function):
                yield Place(file, node)


def parsed(file: Path) -> ast.Module:
    """A file's syntax tree."""
    return ast.parse(file.read_text(encoding="utf-8"), str(file))


def body_lines(node: Function) -> int:
    """The lines of a function's body, its docstring not counted."""
    body = node.body[1:] if ast.get_docstring(node) is not None else node.body
    return body[-1].end_lineno - body[0].lineno + 1 if body else 0


def documents() -> list[Path]:
    """The Markdown pages of the project."""
    found = [p for p in ROOT.rglob("*.md") if not MADE_BY_TOOLS & set(p.relative_to(ROOT).parts)]
    return sorted(p for p in found if not p.relative_to(ROOT).parts[0].startswith("."))
