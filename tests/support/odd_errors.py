"""Exceptions whose attributes raise, and code whose globals do, as a job may raise or run them."""

from __future__ import annotations

from typing import Any

from gigq.errors import JobTimeout


def _fail(*_: object) -> Any:
    raise ValueError("an attribute raises")


class OddContextError(Exception):
    """Its context cannot be read."""

    __context__: Any = property(_fail)


class OddCauseError(Exception):
    """Its cause cannot be read."""

    __cause__: Any = property(_fail)


class OddTracebackError(Exception):
    """Its traceback cannot be read."""

    __traceback__: Any = property(_fail)


class OddClassError(Exception):
    """Its class cannot be asked for."""

    __class__: Any = property(_fail)


class OddSyntaxError(SyntaxError):
    """The file that it is about cannot be read."""

    filename: Any = property(_fail)


class OddInterruptionError(JobTimeout):
    """It does not say which execution it interrupts."""

    execution_id: Any = property(_fail)


class _Text(str):
    __slots__ = ()
    __str__ = __repr__ = __format__ = _fail


class OddFileError(SyntaxError):
    """The file that it is about has a name that cannot be shown."""

    def __init__(self, message: str) -> None:
        super().__init__(message, (_Text("odd.py"), 1, 1, "1 +"))


class _Name:
    def __str__(self) -> str:
        return str(_fail())

    __hash__: Any = _fail


class _Loader:
    get_source = _fail


KINDS: dict[str, type[BaseException]] = {
    kind.__name__: kind for kind in Exception.__subclasses__() if kind.__module__ == __name__
}
KINDS |= {kind.__name__: kind for kind in (OddSyntaxError, OddFileError, OddInterruptionError)}
GLOBALS = {
    "a name": {"__name__": _Name()},
    "a file": {"__name__": "odd"},
    "a loader": {"__name__": "odd", "__loader__": _Loader()},
}


def fail(kind: str) -> None:
    """Raise one of the exceptions, or divide by zero in code with odd globals."""
    if kind in KINDS:
        raise KINDS[kind]("out of stock")
    names: dict[str, Any] = dict(GLOBALS[kind])
    exec(compile("def work():\n    1 / 0\n", "/missing/odd.py", "exec"), names)
    work = names["work"]
    if kind == "a file":
        work.__code__ = work.__code__.replace(co_filename=_Text("odd.py"), co_name=_Text("work"))
    work()
