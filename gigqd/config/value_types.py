"""The types of a key's value: each parses a TOML value or an environment variable."""

import math
import os
import re
import sys
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

from gigq.model import paths_with_links, served_queues
from gigq.model.database_address import address_begin, is_address
from gigq.model.flags import parse_flag
from gigq.model.units import DAY, GIB, format_duration, format_size, parse_duration, parse_size
from gigqd.config.mistakes import quote, shorten, suggest, type_name

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}")

LEAKS = (
    *("threads", "children", "descriptors", "handlers", "mask", "timers", "directory", "umask"),
    *("environment", "limits", "priority", "locale", "path", "streams", "interpreter"),
    *("warnings", "logging", "hooks", "account"),
)
"""The state that a job can leave behind in its worker, by the names that the log gives it."""

_MOST_FAULTS = 5
_LARGEST_SHOWN = 1e15  # Python refuses to write an integer of thousands of digits


class ValueType(NamedTuple):
    """A type of value.

    `parse` takes what TOML holds and the directory that relative paths start from, and raises
    ValueError with a sentence; `from_text` turns an environment variable's text into what TOML
    would hold. `limits` describes the allowed values for the reference.
    """

    name: str
    unit: str
    parse: Callable[[object, Path], Any]
    from_text: Callable[[str], object] = str
    limits: str = ""


def duration(minimum: float = 0.0, maximum: float = 365 * DAY) -> ValueType:
    """Return the type of seconds as a number, or text such as "30s", "1h30m", "250ms"."""

    def parse(raw: object, _base: Path) -> float:
        seconds = parse_duration(raw, bare=1.0) if isinstance(raw, str) else raw
        if isinstance(seconds, bool) or not isinstance(seconds, int | float):
            raise ValueError(f'expected a duration such as "30s", not {type_name(raw)}')
        return float(_within(seconds, minimum, maximum, show))

    show = partial(format_duration, exact=True)
    return ValueType("duration", "seconds", parse, limits=f"{show(minimum)} to {show(maximum)}")


def byte_size(minimum: int = 0, maximum: int = 1024 * GIB) -> ValueType:
    """Return the type of bytes as a whole number, or text such as "64 KiB", "1 GB"."""

    def parse(raw: object, _base: Path) -> int:
        count = parse_size(raw) if isinstance(raw, str) else raw
        if isinstance(count, bool) or not isinstance(count, int):
            raise ValueError(f'expected a size such as "64 KiB", not {type_name(raw)}')
        return int(_within(count, minimum, maximum, show))

    show = partial(format_size, exact=True)
    return ValueType("size", "bytes", parse, limits=f"{show(minimum)} to {show(maximum)}")


def whole(minimum: int, maximum: int, unit: str = "") -> ValueType:
    """Return the type of a whole number between two bounds, both included."""

    def parse(raw: object, _base: Path) -> int:
        if isinstance(raw, bool) or not isinstance(raw, int):
            raise ValueError(f"expected a whole number, not {type_name(raw)}")
        return int(_within(raw, minimum, maximum, str))

    return ValueType("whole number", unit, parse, _int_from_text, f"{minimum:,} to {maximum:,}")


def number(minimum: float, maximum: float) -> ValueType:
    """Return the type of a number between two bounds, both included."""

    def parse(raw: object, _base: Path) -> float:
        if isinstance(raw, bool) or not isinstance(raw, int | float):
            raise ValueError(f"expected a number, not {type_name(raw)}")
        return float(_within(raw, minimum, maximum, "{:g}".format))

    return ValueType("number", "", parse, _number_from_text, f"{minimum:g} to {maximum:g}")


def _number_from_text(text: str) -> object:
    try:
        return float(text)
    except ValueError:
        raise ValueError(f'expected a number, not "{shorten(text)}"') from None


def _int_from_text(text: str) -> object:
    try:
        return int(text)
    except ValueError:
        raise ValueError(f'expected a whole number, not "{shorten(text)}"') from None


def _within(number: float, low: float, high: float, show: Callable[[Any], str]) -> float:
    if not isinstance(number, int) and not math.isfinite(number):
        raise ValueError(f"must be a finite number, not {number}")
    if low <= number <= high:
        return number
    bound = f"at least {show(low)}" if number < low else f"at most {show(high)}"
    given = show(number) if abs(number) < _LARGEST_SHOWN else "a huge number"
    raise ValueError(f"must be {bound}, not {given}")


def text(
    fits: Callable[[str], object] = bool, expected: str = "text", name: str = "text"
) -> ValueType:
    """Return the type of text that fits a rule; `expected` says the rule in a message."""

    def parse(raw: object, _base: Path) -> str:
        given = _text(raw, expected)
        if "\0" in given or not fits(given):
            raise ValueError(f'expected {expected}, not "{shorten(given)}"')
        return given

    return ValueType(name, "", parse)


def _text(raw: object, expected: str) -> str:
    if not isinstance(raw, str):
        raise ValueError(f"expected {expected}, not {type_name(raw)}")
    return raw


def choice(*words: str, name: str = "") -> ValueType:
    """Return the type of one word of a few; `name` stands for them where the list is long."""
    listed = ", ".join(words)

    def parse(raw: object, _base: Path) -> str:
        word = _text(raw, f"one of {listed}")
        if word.lower() not in words:
            raise ValueError(f'"{shorten(word)}" is none of {listed}{suggest(word, words)}')
        return word.lower()

    limits = f"one of {listed}" if name else ""
    return ValueType(name or " | ".join(words), "", parse, limits=limits)


def _parse_flag(raw: object, _base: Path) -> bool:
    if not isinstance(raw, bool):
        raise ValueError(f"expected true or false, not {type_name(raw)}")
    return raw


def octal(maximum: int = 0o077) -> ValueType:
    """Return the type of a file mode mask as octal text, "027"; the owner keeps its rights."""

    def parse(raw: object, _base: Path) -> int:
        # a bare 27 would silently mean 0o33, so numbers are refused
        if not isinstance(raw, str):
            raise ValueError('expected octal digits in quotes, such as "027"')
        if not re.fullmatch(r"(0o)?[0-7]{1,5}", raw) or int(raw, 8) > maximum:
            raise ValueError(f'"{shorten(raw)}" is not a mask between "000" and "{maximum:03o}"')
        return int(raw, 8)

    return ValueType("octal text", "", parse, limits=f'"000" to "{maximum:03o}"')


def list_of(item: ValueType, *, required: str = "") -> ValueType:
    """Return the type of a list without repetitions; `required` says why it must not be empty."""

    def parse(raw: object, base: Path) -> tuple[Any, ...]:
        if not isinstance(raw, list):
            remedy = f"; write [{quote(shorten(raw))}]" if isinstance(raw, str) else ""
            raise ValueError(f"expected a list, not {type_name(raw)}{remedy}")
        if required and not raw:
            raise ValueError(required)
        return _parse_items(item, raw, base)

    def from_text(text: str) -> object:
        return [part.strip() for part in text.split(",") if part.strip()]

    limits = f"each {item.limits}" if item.limits else ""
    return ValueType(f"list of {item.name}s", item.unit, parse, from_text, limits)


def _parse_items(item: ValueType, raws: Sequence[object], base: Path) -> tuple[Any, ...]:
    values, faults = [], []
    for number, raw in enumerate(raws, start=1):
        try:
            value = item.parse(raw, base)
        except ValueError as error:
            faults.append(f"item {number}: {error}")
            continue
        if value in values:
            faults.append(f'item {number}: "{shorten(str(value))}" is listed twice')
        values.append(value)
    if faults:
        more = len(faults) - _MOST_FAULTS
        raise ValueError("; ".join(faults[:_MOST_FAULTS] + [f"and {more} more"] * (more > 0)))
    return tuple(values)


def optional(of: ValueType, word: str) -> ValueType:
    """Return the same type, with one word that stands for "not set"."""
    limits = f'{of.limits}, or "{word}" for no value'.lstrip(", ")
    return of._replace(
        parse=lambda raw, base: None if raw == word else of.parse(raw, base), limits=limits
    )


def _parse_path(raw: object, base: Path) -> Path:
    given = _text(raw, "a path")
    if not given or "\0" in given:
        raise ValueError("expected a path, not " + ("a zero byte" if given else "empty text"))
    if problem := unencodable(given):
        raise ValueError(problem)
    try:
        expanded = Path(given).expanduser()
    except RuntimeError:
        raise ValueError(f'"{shorten(given)}" names a home directory that is unknown') from None
    return Path(paths_with_links.below(str(base), str(expanded)))


def unencodable(text: str) -> str:
    """Return why the kernel cannot be given a text in this locale; empty when it can.

    The text itself is not shown: it may be a secret.
    """
    try:
        os.fsencode(text)
    except UnicodeEncodeError:
        return (
            f"has characters that the encoding of this locale ({sys.getfilesystemencoding()}) "
            "lacks; set LC_ALL=C.UTF-8 or PYTHONUTF8=1"
        )
    return ""


def _is_queue(text: str) -> bool:
    # a star inside a name would look like a pattern, and queues are matched by name only
    name = text.removeprefix(served_queues.NOT)
    return text == served_queues.EVERY or (
        name.strip() != "" and name.isprintable() and served_queues.EVERY not in name
    )


def _parse_queues(raw: object, base: Path) -> tuple[str, ...]:
    given: tuple[str, ...] = _QUEUES.parse(raw, base)
    served_queues.checked(given)
    return given


def _parse_variable(raw: object, base: Path) -> str:
    given: str = _VARIABLE.parse(raw, base)
    if problem := unencodable(given):
        raise ValueError(problem)
    return given


def _is_module(text: str) -> bool:
    return all(part.isidentifier() for part in text.split("."))


def _is_file(text: str) -> bool:
    if begin := address_begin(text):  # what follows may be a password
        raise ValueError(f'expected {_FILE_OR_ADDRESS}, not a text that begins with "{begin}"')
    return not (text.strip() in ("", ":memory:") or text.startswith("file:"))


def _parse_database(raw: object, base: Path) -> str:
    if is_address(raw):
        return str(raw)
    return str(PATH.parse(_FILE.parse(raw, base), base))


_FILE_OR_ADDRESS = "the path of an SQLite file (not :memory:), or postgresql://HOST/DATABASE"
_FILE = text(_is_file, _FILE_OR_ADDRESS)
_QUEUES = list_of(
    text(
        _is_queue,
        'the name of a queue, "*" for every queue, or "!name" for all but that one',
        "queue name",
    ),
    required='an empty list serves no queue; "*" is every queue',
)
_VARIABLE = text(lambda _text: True, "text in quotes")
FLAG = ValueType("true | false", "", _parse_flag, parse_flag)
DAEMON_NAME = text(NAME.fullmatch, "letters, digits, . _ -", "name")
ACCOUNT = optional(text(expected="a name", name="name"), "")
PATH = ValueType("path", "", _parse_path)
DATABASE = PATH._replace(parse=_parse_database)
QUEUES = _QUEUES._replace(parse=_parse_queues)
MODULE = text(_is_module, 'a module name such as "myapp.jobs"', "module name")
PATTERN = text(str.strip, "a pattern", "pattern")
LEAK = choice(*LEAKS, name="word")
VARIABLE_VALUE = _VARIABLE._replace(parse=_parse_variable)
