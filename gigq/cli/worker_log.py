"""The lines of `gigq worker` on standard error: one for each event, a traceback below it."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Any, TextIO

from gigq import events
from gigq.cli.formatting import indented, local_time
from gigq.model import clock
from gigq.model.units import format_duration
from gigq.model.url_passwords import mask_passwords
from gigq.terminal import printable, shorten

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    Fields = Mapping[str, Any]

_MARGIN = "    "
_LONGEST = 250


class WorkerLog:
    """A writer of events to one stream, which a job's changes of `sys.stderr` do not affect.

    Args:
        stream: the stream for the lines; lines that it refuses are lost.
        level: the lowest level to write, as in the logging module.
    """

    def __init__(self, stream: TextIO, level: int) -> None:
        self._stream = stream
        self._level = level

    def takes(self, level: int) -> bool:
        """Return True when events of this level are written."""
        return level >= self._level

    def write(self, name: str, level: int, source: str, fields: dict[str, Any]) -> None:  # noqa: ARG002 - the protocol
        """Write one event with one call, since jobs in other threads may write as well."""
        now = local_time(clock.utc_now())
        with suppress(OSError, ValueError):  # a full disk, a closed stream
            self._stream.write(f"{now} {entry(name, fields)}\n")
            self._stream.flush()


def entry(name: str, fields: Fields) -> str:
    """Return an event as text, without its time and without passwords in URLs."""
    fields = mask_passwords(fields)
    line = f"{name} {_job_event(name, fields)}" if "job" in fields else f"{name} {_others(fields)}"
    trace = fields.get("error_traceback")
    below = f"\n{indented(trace, _MARGIN)}" if trace else ""
    return printable(line.rstrip()) + below


def _job_event(name: str, fields: Fields) -> str:
    parts = [_job(fields["job"], fields["job_id"]), *_attempt(fields)]
    why = _why(fields)
    line = ", ".join(parts) + (f": {why}" if why else "")
    has_both = fields.get("error_message") is not None and fields.get("reason")
    if name not in (events.JOB_RETRYING, events.JOB_SNOOZED):
        return f"{line}; not tried again: {fields['reason']}" if has_both else line
    again = fields.get("retry_after")
    line = f"{line}; next attempt {f'at {local_time(again)}' if again else 'at once'}"
    return f"{line}; {fields['reason']}" if has_both else line


def _job(name: object, job_id: object) -> str:
    # The whole id, for `gigq status`; only a very long one, of foreign SQL, is cut.
    return f"{shorten(str(name), _LONGEST)} ({shorten(str(job_id), _LONGEST)})"


def _attempt(fields: Fields) -> Iterable[str]:
    if fields.get("attempt") is not None:
        yield f"attempt {fields['attempt']} of {fields.get('max_attempts', '?')}"
    if "hook" in fields:
        yield str(fields["hook"])
    if fields.get("duration") is not None:
        yield format_duration(fields["duration"])


def _why(fields: Fields) -> str:
    if "parent" in fields:
        parent = _job(fields["parent"], fields["parent_id"])
        return f"its parent {parent} ended as {fields['parent_status']}"
    # The first line: the traceback ends with the whole message.
    said = fields.get("error_message")
    message = ((fields.get("reason") if said is None else said) or "").partition("\n")[0]
    why = ": ".join(part for part in (fields.get("error_type"), message) if part)
    if why and fields.get("error_file"):
        return f"{why} (at {fields['error_file']}:{fields['error_line']})"
    return why


def _others(fields: Fields) -> str:
    shown = {key: value for key, value in fields.items() if key != "error_traceback"}
    return " ".join(f"{key}={value!r}" for key, value in shown.items() if value is not None)
