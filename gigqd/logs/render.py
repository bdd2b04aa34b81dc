"""Rendering of entries: a JSON object on one line, or text for a person at a terminal."""

import json
import os
import sys
from collections.abc import Callable
from typing import Any

from gigq.terminal import allows_colour, printable
from gigqd.logs.loggable_values import Limits, clean_text, plain, plain_entry
from gigqd.logs.terminal_lines import line_renderer

LINE_LIMIT = 30_000
"""Maximum characters of a line, so that a write to a pipe is never split."""

CORE = ("ts", "level", "event", "logger", "pid")

_SHORT = Limits(text=512, items=20)
# ASCII only: no reader's notion of a line end or of an escape sequence can split or bend it.
_dump = json.JSONEncoder(ensure_ascii=True, allow_nan=False, check_circular=False).encode

Entry = dict[str, Any]
Render = Callable[[Entry], str]


def render_json(entry: Entry) -> str:
    """Return an entry as a line of ASCII JSON; one too long loses text, then all but its core."""
    line = _dump(plain_entry(entry))
    if len(line) > LINE_LIMIT:
        line = _dump(plain(entry, _SHORT) | {"truncated": True})
    if len(line) > LINE_LIMIT:
        core = {key: entry[key] for key in CORE if key in entry}
        line = _dump(plain(core, _SHORT) | {"truncated": True})
    return line


def choose_renderer(form: str, fd: int, shows_tracebacks: Callable[[], bool]) -> Render:
    """Return the renderer for a form: auto, json or console.

    Args:
        form: `auto` is short lines on a terminal, JSON elsewhere.
        fd: where the lines go.
        shows_tracebacks: returns True when a traceback follows the short line of an error.
    """
    if form == "json" or (form == "auto" and not os.isatty(fd)):
        return render_json
    colors = os.isatty(fd) and allows_colour()
    if form == "auto":
        return line_renderer(fd, colors=colors, shows_tracebacks=shows_tracebacks)
    return _console_renderer(colors=colors)


def _console_renderer(*, colors: bool) -> Render:
    """Return a renderer for people: escaped, aligned, a traceback below its line."""
    import structlog  # the whole package takes long to import (decision 46)

    renderer = structlog.dev.ConsoleRenderer(
        colors=colors,
        sort_keys=False,
        timestamp_key="ts",
        pad_event_to=24,
        exception_formatter=structlog.dev.plain_traceback,
    )

    def render(entry: Entry) -> str:
        cleaned = plain(entry)
        trace = cleaned.pop("traceback", None) or cleaned.pop("error_traceback", None)
        shown = {printable(key): _escape_all(value) for key, value in cleaned.items()}
        shown["ts"] = f"{shown['ts'][:23]}Z"  # to the millisecond
        if isinstance(trace, str):
            # it ends with what these two say
            shown.pop("exc_type", None)
            shown.pop("exc", None)
            shown["exception"] = printable(trace, keep="\n")
        return str(renderer(None, str(shown["level"]), shown))

    return render


def _escape_all(value: Any) -> Any:
    if isinstance(value, str):
        return printable(value)
    if isinstance(value, list):
        return [_escape_all(item) for item in value]
    if isinstance(value, dict):
        return {printable(key): _escape_all(item) for key, item in value.items()}
    return value


def exception_fields(exc_info: object) -> Entry:
    """Return the fields that describe an exception: its type, its text and its traceback.

    Args:
        exc_info: as for logging calls: an exception, a triple, or true for the current one.
    """
    found = _exception(exc_info)
    if found is None:
        return {}
    kind = type(found)
    name = kind.__qualname__
    return {
        "exc_type": name if kind.__module__ == "builtins" else f"{kind.__module__}.{name}",
        "exc": plain(found),
        "traceback": clean_text(_traceback(found), 8192),
    }


def _traceback(error: BaseException) -> str:
    import traceback

    try:
        return "".join(traceback.format_exception(error)).rstrip("\n")
    except Exception:  # noqa: BLE001 - an exception's own methods may raise anything
        return "".join(traceback.format_tb(error.__traceback__)).rstrip("\n")


def _exception(exc_info: object) -> BaseException | None:
    if isinstance(exc_info, BaseException):
        return exc_info
    if isinstance(exc_info, tuple) and len(exc_info) == 3:
        return exc_info[1] if isinstance(exc_info[1], BaseException) else None
    return sys.exception() if exc_info else None
