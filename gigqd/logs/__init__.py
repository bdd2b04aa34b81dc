"""The daemon's log, and the only place that configures structlog: one event, one line."""

from gigqd.logs.pipeline import (
    LibraryEvents,
    bind,
    configure,
    enter_job,
    follow,
    get_logger,
    job_output,
    leave_job,
    reopen,
    set_level,
    show_output,
    sink_fd,
    sink_path,
)

__all__ = [
    "LibraryEvents",
    "bind",
    "configure",
    "enter_job",
    "follow",
    "get_logger",
    "job_output",
    "leave_job",
    "reopen",
    "set_level",
    "show_output",
    "sink_fd",
    "sink_path",
]
