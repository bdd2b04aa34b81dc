"""The daemon's log, and the only place that configures structlog: one event, one line."""

from gigqd.logs.pipeline import (
    bind,
    configure,
    get_logger,
    job_context,
    reopen,
    set_level,
    sink_fd,
    sink_path,
    unbind,
)

__all__ = [
    "bind",
    "configure",
    "get_logger",
    "job_context",
    "reopen",
    "set_level",
    "sink_fd",
    "sink_path",
    "unbind",
]
