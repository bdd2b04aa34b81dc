"""The daemon's loggers: structlog's bound logger, and the processors that make a line of an event.

Fields come from four places; a later one wins: those bound for the process, those of its current
job, those in structlog's context variables, and those of the call itself. The first two belong to
the process and not to the thread, so that threads which a job starts have them too.
"""

from __future__ import annotations

import logging
import os
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from gigq.model.clock import utc_now
from gigqd import exit_codes
from gigqd.errors import GigqdError
from gigqd.logs import standard_library, structlog_import
from gigqd.logs.journal import leads_to_journal, with_priority
from gigqd.logs.render import CORE, choose_renderer, exception_fields, render_json
from gigqd.logs.sink import Sink
from gigqd.logs.structlog_import import context

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from structlog import BoundLoggerBase

    from gigqd.config import LogConfig
    from gigqd.logs.render import Entry, Render
else:
    BoundLoggerBase = structlog_import.load_bound_logger()

# Not those of the logging module, to which an application may give other names.
_LEVELS = {"debug": 10, "info": 20, "warning": 30, "error": 40, "critical": 50}
_ALIASES = {"warn": "warning", "exception": "error", "err": "error", "fatal": "critical"}
_DEBUG, _INFO, _WARNING, _ERROR, _CRITICAL = _LEVELS.values()
_ORDER = dict.fromkeys(CORE)


class _State:
    """The log settings of this process, as `configure` sets them."""

    def __init__(self, sink: Sink, render: Render) -> None:
        self.sink = sink
        self.render = render
        self.level = _INFO
        self.to_journal = False
        self.bound: Mapping[str, Any] = {}
        self.job: Mapping[str, Any] = {}
        self.shows_output = False


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
        raise GigqdError(message, exit_code=exit_codes.CANNOT_CREATE) from error
    _state.render = choose_renderer(log.format, _state.sink.fd, lambda: _state.level <= _DEBUG)
    _state.to_journal = leads_to_journal(_state.sink.fd)
    bind(**bound)
    set_level(log.level)
    structlog_import.when_imported(_configure_structlog)
    standard_library.send_to(_log)


def set_level(level: str) -> None:
    """Set the minimum level: debug, info, warning, error, critical."""
    _state.level = _LEVELS[level]
    logging.getLogger().setLevel(_state.level)


class EventLog(BoundLoggerBase):
    """Writes events, one line each: `log.info("worker_ready", slot=…)`."""

    def debug(self, event: str, **fields: Any) -> None:
        """Write an event of level DEBUG."""
        if _state.level <= _DEBUG:
            self.process("debug", event, fields)

    def info(self, event: str, **fields: Any) -> None:
        """Write an event of level INFO."""
        if _state.level <= _INFO:
            self.process("info", event, fields)

    def warning(self, event: str, **fields: Any) -> None:
        """Write an event of level WARNING."""
        if _state.level <= _WARNING:
            self.process("warning", event, fields)

    def error(self, event: str, **fields: Any) -> None:
        """Write an event of level ERROR."""
        if _state.level <= _ERROR:
            self.process("error", event, fields)

    def exception(self, event: str, **fields: Any) -> None:
        """Write an event of level ERROR with the exception that is being handled."""
        self.error(event, **{"exc_info": True, **fields})

    def critical(self, event: str, **fields: Any) -> None:
        """Write an event of level CRITICAL: the daemon ends."""
        self.process("critical", event, fields)

    def process(self, level: str, event: Any, fields: dict[str, Any]) -> None:
        """Run the processors on an event and write the line."""
        try:
            (line,), _ = self._process_event(level, event, fields)
        except Exception as error:  # noqa: BLE001 - a defect here must not end the supervisor
            lost = {"lost_level": level, "lost_event": event, "failure": type(error).__name__}
            line = _own_line("error", "log_failed", render_json, lost)
        _state.sink.write(line)


class _Output:
    """The object that a logger of structlog wraps; the lines go to the sink of the process."""

    def __init__(self, name: str = "root") -> None:
        self.name = name


def get_logger(name: str) -> EventLog:
    """Return a logger for the events of a module; may be made before `configure`."""
    return EventLog(_Output(name), _PROCESSORS, {})


class LibraryEvents:
    """Sends the library's events to the log, past the logging module: see `events.send_to`."""

    def takes(self, level: int) -> bool:
        """Return True when events of this level are written."""
        return level >= _state.level

    def write(self, name: str, level: int, source: str, fields: Mapping[str, Any]) -> None:
        """Write one event."""
        _log(level, name, source, fields)


def _log(level: int, event: object, logger: str, fields: Mapping[str, Any]) -> None:
    """Write an event that has no logger of the daemon's; its fields may have any name."""
    if level >= _state.level:
        EventLog(_Output(logger), _PROCESSORS, dict(fields)).process(_name_of(level), event, {})


@lru_cache(maxsize=100)
def _name_of(number: int) -> str:
    """Return the name of a level; a number between two levels counts as the lower one."""
    return next((name for name in reversed(_LEVELS) if number >= _LEVELS[name]), "debug")


def _configure_structlog() -> None:
    """Send the events of code that uses structlog itself, such as a job, to the daemon's log."""
    import structlog

    def write(logger: Any, method: str, event_dict: Any) -> Any:
        level = _LEVELS.get(_ALIASES.get(method, method), _INFO)
        _log(level, event_dict.pop("event", ""), getattr(logger, "name", "root"), event_dict)
        raise structlog.DropEvent

    structlog.configure(
        processors=[write],
        wrapper_class=structlog.make_filtering_bound_logger(logging.NOTSET),
        logger_factory=_Output,
        cache_logger_on_first_use=False,
    )


# --- the processors, in their order ---------------------------------------------------------


def _add_exception(_logger: _Output, _level: str, entry: Entry) -> Entry:
    if "exc_info" in entry:
        entry |= exception_fields(entry.pop("exc_info"))
    return entry


def _add_context(logger: _Output, level: str, entry: Entry) -> Entry:
    line = {**_ORDER, "pid": os.getpid(), **_state.bound, **_state.job, **context(), **entry}
    # The line's own facts cannot be replaced; the process that an event is about can be named.
    line["ts"], line["level"], line["logger"] = utc_now(), level, logger.name
    return line


def _render(_logger: _Output, level: str, entry: Entry) -> bytes:
    return _encode(_state.render(entry), level)


_PROCESSORS: tuple[Any, ...] = (_add_exception, _add_context, _render)


def _encode(line: str, level: str) -> bytes:
    if _state.to_journal:
        line = with_priority(line, level)
    return (line + "\n").encode("utf-8", "backslashreplace")


def _report_dropped(count: int) -> bytes:
    return _own_line("warning", "log_dropped", _state.render, {"count": count})


def _own_line(level: str, event: str, render: Render, fields: Entry) -> bytes:
    entry = _add_context(_Output(__name__), level, {**fields, "event": event})
    return _encode(render(entry), level)


# --- fields, and the place of the log -------------------------------------------------------


def bind(**fields: Any) -> None:
    """Add fields to every further line of this process."""
    _state.bound = {**_state.bound, **fields}


def enter_job(fields: Mapping[str, Any]) -> None:
    """Add fields to every line until the job is left, by any thread of the process."""
    _state.job = fields


def leave_job() -> None:
    """Remove the job's fields, and those that it bound to structlog's context variables."""
    _state.job = {}
    structlog_import.clear_context()


def show_output() -> None:
    """Write the output of jobs to the log as well, in this process and its later children."""
    _state.shows_output = True


def job_output(text: str | None, **fields: Any) -> None:
    """Write the output of an attempt, if `show_output` was called."""
    if _state.shows_output and text:
        get_logger(__name__).info("job_output", output=text, **fields)


def reopen() -> bool:
    """Open the log file by its name again, after it was moved away; a failure is logged."""
    try:
        _state.sink.reopen()
    except OSError as error:
        get_logger(__name__).error("log_reopen_failed", error=str(error))
        return False
    return True


def follow() -> OSError | None:
    """Open the log file again if it was moved or deleted, as is done before each line.

    Returns:
        The error when it cannot be opened.
    """
    return _state.sink.follow()


def sink_fd() -> int:
    """Return the descriptor that log lines are written to, to be kept open across a fork."""
    return _state.sink.fd


def sink_path() -> Path | None:
    """Return the log file's name, for a forked child to open again when it is moved away."""
    return _state.sink.path


_state = _State(Sink(None, None, _report_dropped), render_json)
