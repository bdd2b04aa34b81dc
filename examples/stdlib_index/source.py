"""What one source file holds. Nothing here knows that there are jobs."""

from __future__ import annotations

import ast
from collections import Counter
from typing import Any

COUNTED = ("files", "lines", "functions", "classes")
_FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)


def summarize(source: bytes, path: str) -> dict[str, Any]:
    """Count the lines, functions and classes of a source, and the names that it defines."""
    nodes = list(ast.walk(ast.parse(source, path)))
    functions = [node.name for node in nodes if isinstance(node, _FUNCTIONS)]
    classes = [node.name for node in nodes if isinstance(node, ast.ClassDef)]
    return {
        "files": 1,
        "lines": len(source.splitlines()),
        "functions": len(functions),
        "classes": len(classes),
        "names": dict(Counter(functions + classes)),
    }


def add_up(summaries: list[dict[str, Any]]) -> dict[str, Any]:
    """The summary of all that the given summaries are about."""
    names: Counter[str] = Counter()
    for summary in summaries:
        names.update(summary["names"])
    totals = {key: sum(summary[key] for summary in summaries) for key in COUNTED}
    return {**totals, "names": dict(names)}
