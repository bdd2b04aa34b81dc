"""The events that the source emits, and those that the page describes."""

from __future__ import annotations

import ast
import re

from support.tree import PACKAGES, ROOT, modules, parsed

PAGE = ROOT / "docs" / "events.md"
NAME = re.compile(r"[a-z]+([._][a-z]+)+|status|paused|resumed")
METHODS = {"debug", "info", "warning", "error", "critical", "exception", "emit"}
NOT_FIELDS = {"level", "source", "exc_info", None}
ROW = re.compile(
    r"^\| `(?P<name>[a-z._]+)` \| (?P<levels>[a-z, ]+) \| (?P<fields>.*?) \|", re.MULTILINE
)


def emitted():
    """Each event's name with the fields that the source gives it by name."""
    found = {name: set() for name in constants().values()}
    for file in modules(*PACKAGES):
        for call in ast.walk(parsed(file)):
            if isinstance(call, ast.Call) and (name := _event(call)):
                fields = {keyword.arg for keyword in call.keywords} - NOT_FIELDS
                found.setdefault(name, set()).update(fields)
    return found


def described():
    """Each event's name with the fields that the page names."""
    rows = ROW.finditer(PAGE.read_text(encoding="utf-8"))
    return {row["name"]: set(re.findall(r"`([a-z_]+)`", row["fields"])) for row in rows}


def constants():
    """The library's events, by the constants that name them."""
    tree = parsed(ROOT / "gigq" / "events.py")
    return {
        node.targets[0].id: node.value.value
        for node in tree.body
        if isinstance(node, ast.Assign) and isinstance(node.value, ast.Constant)
    }


def _event(call):
    """The event that a call emits; the log's own lines name it after their level."""
    function = ast.unparse(call.func).rpartition(".")[2]
    if function == "_own_line":
        return _name(call.args[1])
    return _name(call.args[0]) if function in METHODS and call.args else None


def _name(argument):
    if isinstance(argument, ast.Attribute):
        return constants().get(argument.attr)
    if isinstance(argument, ast.Constant) and isinstance(argument.value, str):
        return argument.value if NAME.fullmatch(argument.value) else None
    return None
