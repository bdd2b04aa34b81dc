"""How one entry looks: a JSON object on one line, or text for a person at a terminal."""

import json
import os
import sys
from collections.abc import Callable, Mapping
from typing import Any

from gigqd.logs.values import clean_text, plain
from gigqd.text import printable

LINE_LIMIT = 30_000
"""Characters of a line: what a pipe takes whole, with room to spare."""

CORE = ("ts", "level", "event", "logger", "pid")

Entry = dict[str, Any]
Render = Callable[[Entry], str]


def render_json(entry: Entry) -> str:
    """An entry as one line of ASCII JSON; too long a one loses text, then all but its core."""
    line = _dump(plain(entry))
    if len(line) > LINE_LIMIT:
        line = _dump(plain(entry, text_limit=512, items=20) | {"truncated": True})
    if len(line) > LINE_LIMIT:
        core = {key: entry[key] for key in CORE if key in entry}
        line = _dump(plain(core, text_limit=512) | {"truncated": True})
    return line


def _dump(cleaned: Mapping[str, Any]) -> str:
    # ASCII only: no reader's notion of a line end or of an escape sequence can split or bend it
    return json.dumps(cleaned, ensure_ascii=True, allow_nan=False)


def console_renderer(*, colors: bool) -> Render:
    """What renders entries for a person: escaped, aligned, a traceback below its line."""
    import structlog  # as slow to import as a whole worker, and only for this

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
        shown["ts"] = _to_milliseconds(shown["ts"])
        if isinstance(trace, str):
            # it ends with what these two say
            shown.pop("exc_type", None)
            shown.pop("exc", None)
            shown["exception"] = printable(trace, keep="\n")
        return str(renderer(None, str(shown["level"]), shown))

    return render


def wants_colors(fd: int) -> bool:
    """Whether a terminal should get colours; NO_COLOR and TERM=dumb say no."""
    return os.isatty(fd) and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"


def _escape_all(value: Any) -> Any:
    if isinstance(value, str):
        return printable(value)
    if isinstance(value, list):
        return [_escape_all(item) for item in value]
    if isinstance(value, dict):
        return {printable(key): _escape_all(item) for key, item in value.items()}
    return value


def _to_milliseconds(ts: str) -> str:
    return f"{ts[:23]}Z"


def exception_fields(exc_info: object) -> Entry:
    """The fields that tell an exception: its type, its text and its traceback.

    Args:
        exc_info: what logging calls take: an exception, a triple, or true for the current one.
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
