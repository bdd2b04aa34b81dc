"""Rendering of entries for a terminal: one line each, as wide as the terminal."""

from collections.abc import Callable, Iterator, Mapping
from datetime import datetime
from typing import Any

from gigq.model.units import format_duration
from gigq.terminal import columns, printable, short_id, shorten
from gigqd.logs.loggable_values import plain

JOB_OUTPUT = "job_output"
"""The event with the output of a job, of which every line is shown."""

_NARROWEST = 40
_USUAL_WIDTH = 80
_EVENT_WIDTH = 16
_SHORTEST_NAME = 12
_COLOURS = {"debug": "2", "warning": "33", "error": "31", "critical": "1;31"}
_LEFT_OUT = frozenset(
    {
        *("ts", "level", "event", "logger", "pid", "run", "execution", "worker", "pool", "queue"),
        *("job", "job_id", "attempt", "max_attempts", "duration", "traceback", "output"),
        *("error_type", "error_message", "error_file", "error_line", "error_traceback"),
        *("exc", "exc_type", "generation"),
    }
)
"""Fields with a form of their own, and fields that only the log in JSON shows."""

_NOTHING = (None, "", 0, 0.0)

Entry = Mapping[str, Any]


def line_renderer(
    fd: int, *, colors: bool, shows_tracebacks: Callable[[], bool]
) -> Callable[[dict[str, Any]], str]:
    """Return a renderer of entries for a terminal.

    Args:
        fd: the terminal.
        colors: write levels in colour.
        shows_tracebacks: returns True when a traceback follows the line of an error.
    """

    def render(entry: dict[str, Any]) -> str:
        shown = plain(entry)
        if shown["event"] == JOB_OUTPUT:
            return "\n".join(_output_lines(shown))
        width = max(columns(fd) or _USUAL_WIDTH, _NARROWEST)
        line = shorten(_line(shown, width), width)
        colour = _COLOURS.get(str(shown["level"])) if colors else None
        if colour:
            line = f"\x1b[{colour}m{line}\x1b[0m"
        trace = shown.get("traceback") or shown.get("error_traceback")
        if isinstance(trace, str) and shows_tracebacks():
            line += f"\n{printable(trace, keep=chr(10))}"
        return line

    return render


def _line(entry: Entry, width: int) -> str:
    head = f"{_clock(entry)} {entry['level']:<7} {printable(str(entry['event'])):<{_EVENT_WIDTH}}"
    return f"{head} {', '.join(_details(entry, (width - len(head)) // 2))}".rstrip()


def _clock(entry: Entry) -> str:
    return datetime.fromisoformat(entry["ts"]).astimezone().strftime("%H:%M:%S")


def _details(entry: Entry, longest_name: int) -> Iterator[str]:
    if entry.get("job_id"):
        yield _job(entry, longest_name)
    yield from _errors(entry)
    if isinstance(entry.get("duration"), int | float):
        yield format_duration(entry["duration"])
    left_out = _LEFT_OUT | {"slot"} if entry.get("job_id") else _LEFT_OUT
    for key, value in entry.items():
        if key not in left_out and value not in _NOTHING:
            shown = value if isinstance(value, str) else str(value)
            yield f"{printable(key)}={printable(shown)}"


def _job(entry: Entry, longest_name: int | None = None) -> str:
    """Return the name of a job, the end of its id (for `gigq status`), and its attempt."""
    name = printable(str(entry.get("job") or "job"))
    if longest_name is not None:
        name = shorten(name, max(longest_name, _SHORTEST_NAME))
    most = entry.get("max_attempts") or 1
    attempt = f" {entry.get('attempt')}/{most}" if most != 1 else ""
    return f"{name} ({printable(short_id(str(entry['job_id'])))}){attempt}"


def _errors(entry: Entry) -> Iterator[str]:
    for kind, message in (("error_type", "error_message"), ("exc_type", "exc")):
        if entry.get(kind) or entry.get(message):
            parts = [str(entry[key]) for key in (kind, message) if entry.get(key)]
            yield printable(": ".join(parts))


def _output_lines(entry: Entry) -> Iterator[str]:
    yield f"{_clock(entry)} {'output':<7} {_job(entry)} printed:"
    for line in str(entry.get("output", "")).expandtabs().rstrip("\n").split("\n"):
        yield f"    | {printable(line.rstrip(chr(13)))}"
