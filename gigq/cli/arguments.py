"""Conversion of texts from the command line and the environment into values."""

from __future__ import annotations

import argparse
import json
import math
import os
import re
from datetime import datetime, time, timedelta
from typing import TYPE_CHECKING, TypeVar

from gigq.cli.errors import OptionsError, VariableError
from gigq.model import clock, codec, served_queues, units
from gigq.model.delay import LONGEST_DELAY
from gigq.nearest import nearest

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

Value = TypeVar("Value")

_MOST_DIGITS = 18  # of an integer that SQLite accepts


TOO_DEEP = f"is nested too deeply; {codec.MOST_LEVELS} levels are the most"


_TIME_OF_DAY = re.compile(r"(tomorrow\s+)?([0-9]{1,2}):([0-9]{2})(?::([0-9]{2}))?", re.IGNORECASE)


class RepeatedKeyError(ValueError):
    """A JSON object with two values under one name."""


class DefaultText(str):
    """The value of an option that the command line does not give."""

    __slots__ = ()


def parameter(text: str) -> tuple[str, object]:
    """Split `key=value`, where the value is JSON that loses nothing, or else text."""
    key, value = text_parameter(text)
    try:
        return key, json_or_text(value)
    except RepeatedKeyError as error:
        raise argparse.ArgumentTypeError(f"{key}: {error}") from None
    except RecursionError:
        raise argparse.ArgumentTypeError(f"{key}: {TOO_DEEP}") from None


def text_parameter(text: str) -> tuple[str, str]:
    """Split `key=value`, where the value is text."""
    key, sign, value = text.partition("=")
    if not sign or not key:
        raise argparse.ArgumentTypeError(f"{text!r} is not KEY=VALUE")
    return key, value


def json_or_text(text: str) -> object:
    """Return the JSON value of `text`; `text` itself when it is not JSON (NaN is not).

    A number that JSON would write differently also stays text: a version 1.10, a hash 12345e7.

    Raises:
        RepeatedKeyError: an object in it has two values under one name.
        RecursionError: it is nested too deeply.
    """
    try:
        value = strict_loads(text)
    except RepeatedKeyError:
        raise
    except ValueError:
        return text
    if isinstance(value, int | float) and json.dumps(value) != text:
        return text
    return value


def strict_loads(text: str) -> object:
    """Parse JSON without NaN, infinities and repeated names in an object.

    Raises:
        ValueError: it is not such JSON.
        RecursionError: it is nested too deeply.
    """
    return json.loads(
        text,
        parse_constant=_refuse_constant,
        parse_float=_finite,
        object_pairs_hook=_object,
    )


def _refuse_constant(name: str) -> object:
    raise ValueError(f"{name} is not JSON")


def _finite(text: str) -> float:
    number = float(text)
    if math.isinf(number):
        raise ValueError(f"{text} is too large for a number")
    return number


def _object(pairs: list[tuple[str, object]]) -> dict[str, object]:
    found = dict(pairs)
    if len(found) < len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise RepeatedKeyError(f"the name {twice!r} appears twice in an object; give it once")
    return found


def function_path(text: str) -> str:
    """Check a function's place, `module.function` or `module:function`, and return it."""
    module, _, name = text.rpartition(":" if ":" in text else ".")
    if not module or not name:
        raise argparse.ArgumentTypeError(
            f"{text!r} is not MODULE.FUNCTION, as in myapp.jobs.send_mail"
        )
    return text


def at_home(text: str) -> str:
    """Return a path with the home folder in place of `~`.

    Raises:
        OptionsError: no account has the name after `~`.
    """
    expanded = os.path.expanduser(text)  # noqa: PTH111 - that of pathlib raises a RuntimeError
    if text[:1] == "~" == expanded[:1]:
        raise OptionsError(f"{text}: there is no such account, so it has no home folder")
    return expanded


def near(word: str, known: Iterable[str]) -> str:
    """Return the end of a message that suggests the nearest known word; empty without one."""
    found = nearest(word, known)
    return f"; did you mean {found!r}?" if found else ""


def number(text: str) -> float:
    """Convert a finite number of at least 0; a whole one stays an int."""
    try:
        value = int(text) if text.strip().isdigit() else float(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number") from None
    if not math.isfinite(value) or value < 0:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of at least 0")
    return value


def age(text: str) -> float:
    """Convert a duration such as 30d, 12h or 1h30m, as in gigqd's configuration, to seconds.

    A plain number counts days, as it did in GigQ 0.5.1.
    """
    try:
        return units.parse_duration(text, bare=units.DAY)
    except ValueError:
        raise argparse.ArgumentTypeError(
            f"{text!r} is not a duration such as 30d, 12h or 1h30m, nor a number of days"
        ) from None


def duration(text: str) -> float:
    """Convert a duration such as 90, 10m or 1h30m to seconds; a plain number counts seconds."""
    if text.lstrip().startswith("-"):
        raise argparse.ArgumentTypeError(f"{text!r} is negative; give a time from now on")
    try:
        seconds = units.parse_duration(text, bare=1.0)
    except ValueError:
        raise argparse.ArgumentTypeError(
            f"{text!r} is not a duration such as 10m or 1h30m, nor a number of seconds"
        ) from None
    if seconds > LONGEST_DELAY:
        longest = units.format_duration(LONGEST_DELAY)
        raise argparse.ArgumentTypeError(f"{text!r} is too long; give at most {longest}")
    return seconds


def moment(text: str) -> datetime:
    """Convert a date and time, or a time of today or tomorrow; without a zone it is local time."""
    try:
        if match := _TIME_OF_DAY.fullmatch(text.strip()):
            return _next(
                time(int(match[2]), int(match[3]), int(match[4] or 0)), tomorrow=bool(match[1])
            )
        return clock.parse(text)
    except (ValueError, OverflowError):
        raise argparse.ArgumentTypeError(
            f"{text!r} is not a time such as 23:30, 'tomorrow 09:00', '2026-12-01 09:00' or "
            "2026-12-01T09:00:00+01:00"
        ) from None


def _next(of_day: time, *, tomorrow: bool) -> datetime:
    """Return the next moment with a local time of day; with `tomorrow`, that of the next day."""
    now = clock.parse(clock.utc_now()).astimezone()
    today = datetime.combine(now, of_day)
    if tomorrow or clock.in_utc(today) <= now:
        today += timedelta(days=1)
    return clock.in_utc(today)


def positive(text: str) -> float:
    """Convert a number above zero."""
    value = number(text)
    if value == 0:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number above 0")
    return value


def count(text: str) -> int:
    """Convert a whole number of at least 1."""
    return _whole(text, 1)


def amount(text: str) -> int:
    """Convert a whole number of at least 0."""
    return _whole(text, 0)


def _whole(text: str, least: int) -> int:
    if not text.isdecimal() or int(text[:_MOST_DIGITS]) < least:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number of at least {least}")
    if len(text) > _MOST_DIGITS:
        raise argparse.ArgumentTypeError(f"{text[:_MOST_DIGITS]}... is too large")
    return int(text)


def size(text: str) -> int:
    """Convert a size of at least one byte, such as 512KiB or 4MiB."""
    try:
        count = units.parse_size(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None
    if not count:
        raise argparse.ArgumentTypeError(f"{text!r} is not a size of at least 1 byte")
    return count


def queues(patterns: list[str] | None) -> tuple[str, ...] | None:
    """Return the patterns of all `--queue` options together.

    Raises:
        OptionsError: they contradict each other, or describe no queue.
    """
    try:
        return served_queues.checked(patterns)
    except ValueError as error:
        raise OptionsError(f"--queue: {error}") from error


def from_environment(name: str, default: str) -> str:
    """Return the variable's value; an empty variable counts as unset."""
    return os.environ.get(name) or default


def variable(name: str, default: str, kind: Callable[[str], Value]) -> Value:
    """Return the variable's value, converted as that of its option.

    Raises:
        VariableError: the value is not valid.
    """
    try:
        return kind(from_environment(name, default))
    except argparse.ArgumentTypeError as error:
        raise VariableError(f"the variable {name}: {error}; set it right, or unset it") from error
