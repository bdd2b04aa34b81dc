"""Text of an exception as it is stored: type and message, then the traceback of the job's code."""

from __future__ import annotations

import traceback
from typing import TYPE_CHECKING, Any

from gigq.model.retry_options import name_of_class
from gigq.model.storable_text import storable

if TYPE_CHECKING:
    from types import TracebackType

# The descriptors of the base classes: an exception's own class may override the attributes.
_TRACEBACK: Any = BaseException.__dict__["__traceback__"]
_EXCEPTIONS: Any = BaseExceptionGroup.__dict__["exceptions"]
_MOST_FRAMES = 100
_MOST_TEXT = 64 * 1024
_MOST_REPEATED = 4 * 1024
_CALLERS = frozenset({"gigq.execution.attempt", "gigq.execution.hooks", "gigq.task"})
"""Modules between the worker and the job's own code; `@task` adds a frame of its own."""
_INTERRUPTING = ("/gigqd/worker/interruption.py", "/gigq/execution/timer_interrupt.py")


def error_text(error: BaseException) -> str:
    """Return an exception as it is stored: type and message first, then the traceback.

    The exception's own methods may raise anything, and its text may contain anything.
    """
    try:
        return storable(shortened(_report(error)))
    except BaseException as broken:  # noqa: BLE001 - the outcome is recorded in any case
        return storable(shortened(f"{_without_text(error, broken)}\n\n{_frames(error)}"))


def _report(error: BaseException) -> str:
    frames = traceback_of_job(error)
    report = traceback.TracebackException(
        type(error), error, frames, limit=-_MOST_FRAMES, compact=True
    )
    _hide_interrupting_frames(report)
    headline = "".join(report.format_exception_only()).strip()
    # The body repeats a long text that the headline has: it must not push the frames out.
    body = (shortened(piece, _MOST_REPEATED) for piece in report.format())
    return f"{shortened(headline, _MOST_TEXT // 2)}\n\n{''.join(body)}"


def _hide_interrupting_frames(report: traceback.TracebackException) -> None:
    """Remove the frames in which gigq raised an exception in the job: they follow the job's own."""
    left = [report]
    while left:
        one = left.pop()
        while len(one.stack) > 1 and one.stack[-1].filename.endswith(_INTERRUPTING):
            one.stack.pop()
        linked = (one.__cause__, one.__context__, *(one.exceptions or ()))
        left += [other for other in linked if other is not None]


def _frames(error: BaseException) -> str:
    """Return file, line and function of each frame; their source may be what cannot be read."""
    frames = [*traceback.walk_tb(_TRACEBACK.__get__(error))][-_MOST_FRAMES:]
    places = [(frame.f_code.co_filename, line, frame.f_code.co_name) for frame, line in frames]
    # Both names may be of a subclass of str.
    return "".join(
        f'  File "{str.__str__(file)}", line {line}, in {str.__str__(name)}\n'
        for file, line, name in places
    )


def headline(error: BaseException) -> str:
    """Return an exception as it is stored where its traceback shows no code of the job.

    Its own methods may raise anything.
    """
    try:
        said = f"{name_of_class(type(error))}: {error}".removesuffix(": ")
        return storable(shortened(said, _MOST_REPEATED))
    except BaseException as broken:  # noqa: BLE001 - the outcome is recorded in any case
        return _without_text(error, broken)


def _without_text(error: BaseException, broken: BaseException) -> str:
    kind, why = (type.__dict__["__name__"].__get__(type(one)) for one in (error, broken))
    return f"{kind}: <its text cannot be shown: {why}>"


def exceptions_in(error: BaseException) -> tuple[BaseException, ...]:
    """Return the exceptions of a group; none of another exception."""
    if not issubclass(type(error), BaseExceptionGroup):
        return ()
    exceptions: tuple[BaseException, ...] = _EXCEPTIONS.__get__(error)
    return exceptions


def traceback_of_job(error: BaseException) -> TracebackType | None:
    """Return an exception's traceback without the frames above the job's function."""
    frames: TracebackType | None = _TRACEBACK.__get__(error)
    while frames is not None and frames.tb_next is not None and _calls_the_function(frames):
        frames = frames.tb_next
    return frames


def _calls_the_function(frames: TracebackType) -> bool:
    """Return True for the frames between the worker and the job's own code."""
    name = frames.tb_frame.f_globals.get("__name__")
    return type(name) is str and name in _CALLERS


def shortened(text: str, most: int = _MOST_TEXT) -> str:
    """Return a text with its middle left out if it is longer than `most` characters."""
    if len(text) <= most:
        return text
    half = most // 2
    return f"{text[:half]}\n[{len(text) - 2 * half:,} characters left out]\n{text[-half:]}"
