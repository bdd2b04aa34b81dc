"""The events that the source emits, and those that the reference describes."""

from __future__ import annotations

import ast
import re

from reference import log_events
from support.tree import PACKAGES, ROOT, modules, parsed

NAME = re.compile(r"[a-z]+([._][a-z]+)+|status|paused|resumed")
CODE = re.compile(r"`([a-z_.]+)`")
METHODS = {"debug", "info", "warning", "error", "critical", "exception", "emit"}
NOT_FIELDS = {"level", "source", "exc_info", None}


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
    """Each event's name with the fields that the reference names, those of a like event too."""
    events = log_events.described()
    own = {name: set(CODE.findall(event.fields)) for name, event in events.items()}
    alike = {name: [each for each in fields if each in events] for name, fields in own.items()}
    return {
        name: fields.union(*(own[each] for each in alike[name])) for name, fields in own.items()
    }


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
