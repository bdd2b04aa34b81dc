"""The one way a log line takes, whether it began in structlog or in the standard library.

Fields come from four places; a later one wins: what this process bound, what its current job
bound, what code bound through structlog's context variables, and the call itself. The first two
are kept for the process and not for the thread, so that threads a job starts have them too.
"""

import logging
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NoReturn

from gigqd import exits
from gigqd.config import LogConfig
from gigqd.errors import GigqdError
from gigqd.logs import guests, standard_library
from gigqd.logs.journal import leads_to_journal, with_priority
from gigqd.logs.render import (
    CORE,
    Entry,
    Render,
    console_renderer,
    exception_fields,
    render_json,
    wants_colors,
)
from gigqd.logs.sink import Sink
from gigqd.logs.terminal_lines import line_renderer

_ALIASES = {"warn": "warning", "exception": "error", "err": "error", "fatal": "critical"}
# Not those of the logging module, to which an application may give other names.
_LEVELS = {"debug": 10, "info": 20, "warning": 30, "error": 40, "critical": 50}


@dataclass(slots=True)
class _State:
    """What `configure` decided, for this process."""

    sink: Sink
    render: Render
    level: int = logging.INFO
    to_journal: bool = False
    bound: Mapping[str, Any] = field(default_factory=dict)
    job: Mapping[str, Any] = field(default_factory=dict)
    shows_output: bool = False


def configure(log: LogConfig, *, fd: int | None = None, **bound: Any) -> None:
    """Send every log line of this process to one place; may be called again, as after a fork.

    Args:
        log: level, format and file.
        fd: an open descriptor to write to; `log.file` is then only its name, for reopening.
            None opens `log.file`, or takes standard error.
        bound: fields for every line of this process, added to those bound before.

    Raises:
        GigqdError: the file cannot be opened (exit code 73).
    """
    try:
        _state.sink = Sink(log.file, fd, _report_dropped)
    except OSError as error:
        message = f"log.file: {log.file}: cannot be opened: {error.strerror}"
        raise GigqdError(message, exit_code=exits.CANNOT_CREATE) from error
    _state.render = _choose_renderer(log.format, _state.sink.fd)
    _state.to_journal = leads_to_journal(_state.sink.fd)
    bind(**bound)
    set_level(log.level)
    guests.when_loaded(_route_structlog)
    standard_library.send_to(_write_numbered)


def set_level(level: str) -> None:
    """Write only what has this level or a higher one: debug, info, warning, error, critical."""
    _state.level = _number(level)
    logging.getLogger().setLevel(_state.level)


class EventLog:
    """Writes events, one line each: `log.info("worker_ready", slot=…)`.

    Args:
        name: the module that writes them.
    """

    def __init__(self, name: str) -> None:
        self._name = name

    def debug(self, event: str, **fields: Any) -> None:
        """Write an event of this level, as all of these do."""
        self._write("debug", event, fields)

    def info(self, event: str, **fields: Any) -> None:
        """Something has happened as it should."""
        self._write("info", event, fields)

    def warning(self, event: str, **fields: Any) -> None:
        """Something is not as it should be."""
        self._write("warning", event, fields)

    def error(self, event: str, **fields: Any) -> None:
        """Something has failed."""
        self._write("error", event, fields)

    def exception(self, event: str, **fields: Any) -> None:
        """Something has failed, with the exception that is being handled."""
        self._write("error", event, {"exc_info": True, **fields})

    def critical(self, event: str, **fields: Any) -> None:
        """The daemon gives up."""
        self._write("critical", event, fields)

    def _write(self, level: str, event: str, fields: Mapping[str, Any]) -> None:
        _write_event(self._name, level, event, fields)


def get_logger(name: str) -> EventLog:
    """A logger for events; may be made before `configure`."""
    return EventLog(name)


def bind(**fields: Any) -> None:
    """Add fields to every further line of this process."""
    _state.bound = {**_state.bound, **fields}


def unbind(*keys: str) -> None:
    """Take fields away again; those that are not bound are no error."""
    _state.bound = {key: value for key, value in _state.bound.items() if key not in keys}


def enter_job(fields: Mapping[str, Any]) -> None:
    """Add fields to every line until the job is left, by any thread of the process."""
    _state.job = fields


def leave_job() -> None:
    """The job is over: forget its fields, and what it bound through structlog's variables."""
    _state.job = {}
    guests.clear_context()


def show_output() -> None:
    """Write what jobs print to the log too, from now on and in every child."""
    _state.shows_output = True


def job_output(text: str | None, **fields: Any) -> None:
    """Write what an attempt has printed, where that was asked for."""
    if _state.shows_output and text:
        EventLog(__name__).info("job_output", output=text, **fields)


def reopen() -> bool:
    """Open the log file by its name again, after it was moved away; a failure is logged."""
    try:
        _state.sink.reopen()
    except OSError as error:
        _write("error", "log_reopen_failed", __name__, {"error": str(error)})
        return False
    return True


def follow() -> OSError | None:
    """Open the log file again if it was moved or deleted, as is done before each line.

    Returns:
        The error when it cannot be opened.
    """
    return _state.sink.follow()


def sink_fd() -> int:
    """The descriptor that log lines are written to, to be kept open across a fork."""
    return _state.sink.fd


def sink_path() -> Path | None:
    """The log file's name, for a forked child to open again when it is moved away."""
    return _state.sink.path


class LibraryEvents:
    """The way of the library's events to the log, past the logging module: see `events.send_to`."""

    def takes(self, level: int) -> bool:
        """Return whether an event of this level is written."""
        return level >= _state.level

    def write(self, name: str, level: int, source: str, fields: Mapping[str, Any]) -> None:
        """Write one event."""
        _write(_name_of(level), name, source, fields)


def _write_numbered(level: int, event: object, logger: str, fields: Mapping[str, Any]) -> None:
    if level >= _state.level:
        _write(_name_of(level), event, logger, fields)


def _write_event(logger: str, method: str, event: object, fields: Mapping[str, Any]) -> None:
    level = _ALIASES.get(method, method)
    if _number(level) >= _state.level:
        exc_info = fields.get("exc_info")
        told = {key: fields[key] for key in fields if key != "exc_info"}
        _write(level, event, logger, told | exception_fields(exc_info))


def _write(level: str, event: object, logger: str, fields: Mapping[str, Any]) -> None:
    try:
        line = _state.render(_entry(level, event, logger, fields))
    except Exception as error:  # noqa: BLE001 - a defect here must not end the supervisor
        broken = {"lost_level": level, "lost_event": event, "failure": type(error).__name__}
        line = render_json(_entry("error", "log_failed", __name__, broken))
    _state.sink.write(_encode(line, level))


def _entry(level: str, event: object, logger: str, fields: Mapping[str, Any]) -> Entry:
    now = datetime.now(UTC).isoformat(timespec="microseconds")
    core = {"ts": now, "level": level, "event": event, "logger": logger, "pid": os.getpid()}
    more = {**_state.bound, **_state.job, **guests.context(), **fields}
    # the line's own facts cannot be replaced; the process that an event is about can be named
    return core | {key: more[key] for key in more if key not in CORE or key == "pid"}


def _encode(line: str, level: str) -> bytes:
    if _state.to_journal:
        line = with_priority(line, level)
    return (line + "\n").encode("utf-8", "backslashreplace")


def _report_dropped(count: int) -> bytes:
    entry = _entry("warning", "log_dropped", __name__, {"count": count})
    return _encode(_state.render(entry), "warning")


def _number(level: str) -> int:
    return _LEVELS.get(level, logging.INFO)


def _name_of(number: int) -> str:
    """Return the level that a number belongs to, as those between two belong to the lower one."""
    return next((name for name in reversed(_LEVELS) if number >= _LEVELS[name]), "debug")


def _choose_renderer(form: str, fd: int) -> Render:
    if form == "json" or (form == "auto" and not os.isatty(fd)):
        return render_json
    colors = wants_colors(fd)
    if form == "auto":
        return line_renderer(fd, colors=colors, shows_tracebacks=_is_at_debug)
    return console_renderer(colors=colors)


def _is_at_debug() -> bool:
    return _state.level <= _LEVELS["debug"]


class _Origin:
    """The place of structlog's output; every event is written before that is reached."""

    def __init__(self, name: str = "root") -> None:
        self.name = name

    def __getattr__(self, method: str) -> NoReturn:
        raise AttributeError(method)


def _route_structlog() -> None:
    """Let code that uses structlog itself, as a job may, write to the same place."""
    import structlog

    def write(logger: Any, method: str, event_dict: Mapping[str, Any]) -> NoReturn:
        fields = dict(event_dict)
        event = fields.pop("event", "")
        _write_event(getattr(logger, "name", "root"), method, event, fields)
        raise structlog.DropEvent

    structlog.configure(
        processors=[write],
        wrapper_class=structlog.make_filtering_bound_logger(logging.NOTSET),
        logger_factory=_Origin,
        cache_logger_on_first_use=False,
    )


_state = _State(Sink(None, None, _report_dropped), render_json)
