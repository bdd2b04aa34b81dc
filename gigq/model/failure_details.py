"""Details of a failure: the exception's type, message, place and traceback. Pure functions."""

from __future__ import annotations

import os
import re
import traceback
from typing import TYPE_CHECKING, Any, NamedTuple

from gigq.model.storable_text import storable_value

if TYPE_CHECKING:
    from types import FrameType

_MESSAGE_LIMIT = 500
_SPLITS_TRIED = 100
_TRACEBACK = re.compile(r"\n\n(?=(?:  \+ Exception Group )?Traceback \(most recent call last\):\n)")
_NAME = r"[^\W\d]\w*(?:\.(?:[^\W\d]\w*|<locals>))*"
_HEADLINE = re.compile(rf"({_NAME})(?::(?: (.*))?)?", re.DOTALL)  # without spaces at its ends
_SYNTAX_ERROR = re.compile(
    r"^(\w*(?:SyntaxError|IndentationError|TabError)): (.*)", re.MULTILINE | re.DOTALL
)
# Without a traceback below it, a line is an exception's only if it begins with such a name.
_LIKE_AN_EXCEPTION = re.compile(
    r"(?:\w+\.)*(?:[A-Z][a-z0-9]+[A-Z]\w*|\w*(?:Error|Exception|Exit|Interrupt|Warning))"
    r"|gigq\.errors\.\w+"
)
_REASON_BEFORE = re.compile(
    r"(?:cancelled while it ran; the attempt ended so|crash limit reached: .*?; the last one): ",
    re.DOTALL,
)
_OWN_PACKAGES = frozenset({"gigq", "gigqd"})
_STANDARD_LIBRARY = os.path.dirname(os.__file__) + os.sep  # noqa: PTH120 - as in a code object
_INSTALLED = re.compile(r"[/\\](?:site|dist)-packages[/\\]")


class Failure(NamedTuple):
    """The details of one failure; None for each that is unknown.

    Attributes:
        type: the exception's class as a traceback shows it: `ValueError`, `shop.OutOfStock`.
        message: its text, with its notes; the whole error if that names no class.
        traceback: the traceback as text.
        file: the file of the job's own code that raised it, or that called a library which did.
        line: the line in that file.
    """

    type: str | None = None
    message: str | None = None
    traceback: str | None = None
    file: str | None = None
    line: int | None = None


def of_exception(error: BaseException, text: str, module: str) -> Failure:
    """Return the details of an exception.

    Args:
        error: the exception.
        text: the exception as it is stored.
        module: the module of the job's function.
    """
    try:
        file, line = own_place(error, str(module))  # SQL may have written a blob
    except BaseException:  # noqa: BLE001 - an exception's own attributes may raise anything
        file, line = None, None
    # A syntax error may have values of subclasses, whose methods could raise in the log.
    return split(text)._replace(
        file=None if file is None else str.__str__(file),
        line=None if line is None else int.__int__(line),
    )


def split(error: object) -> Failure:
    """Split a stored error into type, message and traceback.

    Any version of gigq and any program may have written it. A value of another type has no details.
    """
    if not isinstance(error, str):
        return Failure()
    headline, trace = _parts(error)
    before = _REASON_BEFORE.match(headline)
    kind, message = _type_and_message(headline[before.end() :] if before else headline, trace)
    return Failure(kind, headline if before else message, trace)


def columns(error: object) -> dict[str, str | None]:
    """Return a stored error's details under their names in `get_status`."""
    failure = split(error)
    return {
        "error_type": failure.type,
        "error_message": failure.message,
        "error_traceback": failure.traceback,
    }


def fields(failure: Failure) -> dict[str, Any]:
    """Return the details as fields of an event; the message is cut and all text is valid UTF-8."""
    message = failure.message
    if message is not None and len(message) > _MESSAGE_LIMIT:
        message = f"{message[: _MESSAGE_LIMIT - 3]}..."
    return {
        "error_type": storable_value(failure.type),
        "error_message": storable_value(message),
        "error_file": storable_value(failure.file),
        "error_line": failure.line,
        "error_traceback": storable_value(failure.traceback),
    }


def _parts(error: str) -> tuple[str, str | None]:
    """Split an error into its first part and the traceback, which ends with the first part."""
    at = error.find("\n\n", 1)
    for _ in range(_SPLITS_TRIED):
        if at < 0:
            break
        if error.rstrip().endswith(error[:at], at + 2):
            return error[:at], error[at + 2 :].rstrip("\n")
        at = error.find("\n\n", at + 1)
    headline, *rest = _TRACEBACK.split(error, maxsplit=1)
    return headline, (rest[0].rstrip("\n") if rest else None)


def _type_and_message(headline: str, trace: str | None) -> tuple[str | None, str]:
    if headline.startswith('File "') and (syntax := _SYNTAX_ERROR.search(headline)):
        return syntax[1], syntax[2]
    found = _HEADLINE.fullmatch(headline)
    if found is None or not (trace or _LIKE_AN_EXCEPTION.fullmatch(found[1])):
        return None, headline
    return found[1], found[2] or ""


def own_place(error: BaseException, module: str) -> tuple[str | None, int | None]:
    """Return file and line of the innermost frame that is the application's own code.

    Args:
        error: the exception.
        module: a module of the application, whose package counts as its own even if installed.
    """
    package = module.partition(".")[0]
    file = error.filename if isinstance(error, SyntaxError) else None
    if isinstance(error, SyntaxError) and isinstance(file, str) and not file.startswith("<"):
        return file, error.lineno if isinstance(error.lineno, int) else None
    place: tuple[str | None, int | None] = (None, None)
    for frame, line in traceback.walk_tb(error.__traceback__):
        if _is_own(frame, package):
            place = frame.f_code.co_filename, line
    return place


def _is_own(frame: FrameType, package: str) -> bool:
    name = str(frame.f_globals.get("__name__", "")).partition(".")[0]
    file = frame.f_code.co_filename
    if name in _OWN_PACKAGES or file.startswith("<"):
        return False
    # An application may be installed, too; then its own package counts.
    return name == package or not _is_installed(file)


def _is_installed(file: str) -> bool:
    return file.startswith(_STANDARD_LIBRARY) or bool(_INSTALLED.search(file))
