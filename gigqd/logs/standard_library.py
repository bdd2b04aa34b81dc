"""Bridge from the records and warnings of the standard library to the daemon's log.

An application configures the logging module as it likes: it replaces the handlers of the root
logger, disables loggers, or closes all handlers. So the daemon's log is no handler. It takes each
record that reaches the root logger where Python looks for the handlers.
"""

import logging
import warnings
from collections.abc import Callable, Mapping
from typing import Any, TextIO

from gigqd.logs.loggable_values import plain
from gigqd.logs.render import exception_fields

Write = Callable[[int, object, str, Mapping[str, Any]], None]

# An event of the library leaves these on a record instead of text to be parsed.
_EVENT_ATTRIBUTES = ("event", "fields")
_RECORD_ATTRIBUTES = frozenset(
    (*logging.makeLogRecord({}).__dict__, "message", "asctime", *_EVENT_ATTRIBUTES)
)
_call_handlers = logging.Logger.callHandlers
_show_warning = warnings.showwarning


def send_to(write: Write) -> None:
    """Send every record that reaches the root logger, and every warning, to one function as well.

    Args:
        write: called with the level's number, the event, the logger's name and the fields; it
            never raises.
    """

    def call_handlers(self: logging.Logger, record: logging.LogRecord) -> None:
        if _reaches_root(self):
            write(record.levelno, *_entry_of(record))
            if not self.hasHandlers():
                return  # nor does it need Python's last resort, the standard error
        _call_handlers(self, record)

    def show_warning(
        message: Warning | str,
        category: type[Warning],
        filename: str,
        lineno: int,
        file: TextIO | None = None,
        line: str | None = None,
    ) -> None:
        if file is not None:
            _show_warning(message, category, filename, lineno, file, line)
            return
        text = warnings.formatwarning(message, category, filename, lineno, line)
        write(logging.WARNING, text, "py.warnings", {})

    logging.Logger.callHandlers = call_handlers  # type: ignore[method-assign]
    warnings.showwarning = show_warning


def restore() -> None:
    """Restore the logging module and the warnings."""
    logging.Logger.callHandlers = _call_handlers  # type: ignore[method-assign]
    warnings.showwarning = _show_warning


def _reaches_root(logger: logging.Logger) -> bool:
    one: logging.Logger | None = logger
    while one is not None and one.parent is not None:
        if not one.propagate:
            return False
        one = one.parent
    return True


def _entry_of(record: logging.LogRecord) -> tuple[object, str, dict[str, Any]]:
    """Return event, logger and fields; an event of the library keeps its name and fields."""
    attributes = record.__dict__
    fields: dict[str, Any] = {}
    if not attributes.keys() <= _RECORD_ATTRIBUTES:
        fields = {k: v for k, v in attributes.items() if k not in _RECORD_ATTRIBUTES}
    event, given = attributes.get("event"), attributes.get("fields")
    if isinstance(event, str) and isinstance(given, dict):
        fields |= given
    else:
        event = _message(record)
    if record.exc_info:
        fields |= exception_fields(record.exc_info)
    if record.stack_info:
        fields["stack"] = record.stack_info
    return event, record.name, fields


def _message(record: logging.LogRecord) -> str:
    try:
        return record.getMessage()
    except Exception:  # noqa: BLE001 - arguments that do not fit the text, or a broken str()
        return f"{plain(record.msg)} (arguments that cannot be shown)"
