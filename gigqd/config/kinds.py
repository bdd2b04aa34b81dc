"""The kinds of value a key may have: read from TOML or an environment variable, and shown."""

import math
import os
import re
import sys
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gigq import durations, given_paths
from gigqd.text import printable

SECOND, MINUTE, HOUR, DAY = 1.0, 60.0, 3600.0, 86400.0
YEAR = 365 * DAY

_MOST_FAULTS = 5
_PLAIN_NUMBER = re.compile(r"-?[0-9]{1,30}(\.[0-9]{1,30})?")

_SIZE_UNITS = {"B": 1} | {
    f"{letter}{suffix}": base**power
    for power, letter in enumerate("KMGT", start=1)
    for suffix, base in (("iB", 1024), ("B", 1000))
}
_SIZE = re.compile(r"(-?[0-9]{1,30}(?:\.[0-9]{1,30})?)\s*([A-Za-z]*)")


@dataclass(frozen=True, slots=True)
class Kind:
    """How one kind of value is read and written.

    `parse` takes what TOML holds and the directory that relative paths start from, and raises
    ValueError with a sentence; `from_text` turns an environment variable's text into what TOML
    would hold; `show` writes a parsed value as TOML.
    """

    name: str
    unit: str
    parse: Callable[[object, Path], Any]
    show: Callable[[Any], str]
    from_text: Callable[[str], object] = str


def shorten(value: object, limit: int = 60) -> str:
    """A value for a message: printable, on one line, not longer than `limit` characters."""
    text = value if isinstance(value, str) else repr(value)
    text = printable(text[: limit + 1])
    return text if len(text) <= limit else text[: limit - 1] + "…"


def nearest(word: str, known: Iterable[str]) -> str | None:
    """The known word that looks most like a given one, in any case; None when none is near."""
    from difflib import get_close_matches  # slow to import, and only for mistakes

    by_folded = {candidate.lower(): candidate for candidate in known}
    near = get_close_matches(word.lower(), by_folded, n=1, cutoff=0.6)
    return by_folded[near[0]] if near else None


def hint(near: str | None) -> str:
    """The end of a message that offers a word; empty without one."""
    return f'; did you mean "{near}"?' if near else ""


def suggest(word: str, known: Iterable[str]) -> str:
    """The end of a message that offers the nearest known word; empty when none is near."""
    return hint(nearest(word, known))


def duration(minimum: float = 0.0, maximum: float = YEAR) -> Kind:
    """Seconds as a number, or text such as "30s", "1h30m", "250ms"."""

    def parse(raw: object, _base: Path) -> float:
        seconds = _seconds(raw) if isinstance(raw, str) else raw
        if isinstance(seconds, bool) or not isinstance(seconds, int | float):
            raise ValueError(f'expected a duration such as "30s", not {type_name(raw)}')
        return float(_within(seconds, minimum, maximum, show_duration))

    return Kind("duration", "seconds", parse, lambda value: f'"{show_duration(value)}"')


def _seconds(text: str) -> float:
    if _PLAIN_NUMBER.fullmatch(text.strip()):
        return float(text)
    seconds = durations.parse(text)
    if seconds is None:
        raise ValueError(
            f'"{shorten(text)}" is not a duration; write "30s", "5m", "1h30m" or "250ms"'
        )
    return seconds


def show_duration(seconds: float) -> str:
    """Seconds in the largest units that say them exactly: 5400.0 is "1h30m"."""
    if seconds != round(seconds, 3) or seconds < 0:
        return f"{seconds!r}".removesuffix(".0") + "s"
    rest, parts = round(seconds * 1000), []
    for unit, size in durations.UNITS.items():
        count, rest = divmod(rest, round(size * 1000))
        if count:
            parts.append(f"{count}{unit}")
    return "".join(parts) or "0s"


def size(minimum: int = 0, maximum: int = 1024**4) -> Kind:
    """Bytes as a whole number, or text such as "512MiB", "64KiB", "1GB"."""

    def parse(raw: object, _base: Path) -> int:
        count = _bytes(raw) if isinstance(raw, str) else raw
        if isinstance(count, bool) or not isinstance(count, int):
            raise ValueError(f'expected a size such as "64KiB", not {type_name(raw)}')
        return int(_within(count, minimum, maximum, show_size))

    return Kind("size", "bytes", parse, lambda value: f'"{show_size(value)}"')


def _bytes(text: str) -> int:
    match = _SIZE.fullmatch(text.strip())
    if match is None:
        raise ValueError(f'"{shorten(text)}" is not a size; write "64KiB", "512MiB" or "1GB"')
    number, unit = match.groups()
    factors = {name.lower(): factor for name, factor in _SIZE_UNITS.items()}
    factor = factors.get(unit.lower() or "b")
    if factor is None:
        near = f"{number}{unit[0].upper()}iB" if unit[0].upper() in "KMGT" else None
        raise ValueError(f'"{shorten(unit)}" is not a unit of size{hint(near)}')
    count = float(number) * factor if "." in number else int(number) * factor
    if count != int(count):
        raise ValueError(f'"{shorten(text)}" is not a whole number of bytes')
    return int(count)


def show_size(count: int) -> str:
    """Bytes in the largest binary unit that says them exactly: 1048576 is "1MiB"."""
    for letter, power in (("T", 4), ("G", 3), ("M", 2), ("K", 1)):
        if count and count % 1024**power == 0:
            return f"{count // 1024**power}{letter}iB"
    return f"{count}B"


def whole(minimum: int, maximum: int, unit: str = "") -> Kind:
    """A whole number between two bounds, both included."""

    def parse(raw: object, _base: Path) -> int:
        if isinstance(raw, bool) or not isinstance(raw, int):
            raise ValueError(f"expected a whole number, not {type_name(raw)}")
        return int(_within(raw, minimum, maximum, str))

    return Kind("whole number", unit, parse, str, _int_from_text)


def _int_from_text(text: str) -> object:
    try:
        return int(text)
    except ValueError:
        raise ValueError(f'expected a whole number, not "{shorten(text)}"') from None


def _within(number: float, low: float, high: float, show: Callable[[Any], str]) -> float:
    if not isinstance(number, int) and not math.isfinite(number):
        raise ValueError(f"must be a finite number, not {number}")
    if number < low:
        raise ValueError(f"must be at least {show(low)}, not {_brief(number, show)}")
    if number > high:
        raise ValueError(f"must be at most {show(high)}, not {_brief(number, show)}")
    return number


def _brief(number: float, show: Callable[[Any], str]) -> str:
    # Python itself refuses to write an integer of thousands of digits
    return show(number) if abs(number) < 1e15 else "a huge number"


def text(
    fits: Callable[[str], bool] = bool, expected: str = "text", name: str = "text", unit: str = ""
) -> Kind:
    """Text that fits a rule; `expected` says the rule in a message."""

    def parse(raw: object, _base: Path) -> str:
        if not isinstance(raw, str):
            raise ValueError(f"expected {expected}, not {type_name(raw)}")
        if "\0" in raw or not fits(raw):
            raise ValueError(f'expected {expected}, not "{shorten(raw)}"')
        return raw

    return Kind(name, unit, parse, quote)


def choice(*words: str, name: str = "") -> Kind:
    """One word of a few; `name` stands for them where the list would be too long."""

    def parse(raw: object, _base: Path) -> str:
        if not isinstance(raw, str):
            raise ValueError(f"expected one of {', '.join(words)}, not {type_name(raw)}")
        if raw.lower() not in words:
            listed = ", ".join(words)
            raise ValueError(f'"{shorten(raw)}" is none of {listed}{suggest(raw, words)}')
        return raw.lower()

    return Kind(name or " | ".join(words), "", parse, quote)


def octal(maximum: int = 0o077) -> Kind:
    """A mode mask as text in octal, as umask takes it: "027". The owner keeps its own rights."""

    def parse(raw: object, _base: Path) -> int:
        # a bare 27 would silently mean 0o33, so numbers are refused
        if not isinstance(raw, str):
            raise ValueError('expected octal digits in quotes, such as "027"')
        if not re.fullmatch(r"(0o)?[0-7]{1,5}", raw) or int(raw, 8) > maximum:
            raise ValueError(f'"{shorten(raw)}" is not a mask between "000" and "{maximum:03o}"')
        return int(raw, 8)

    return Kind("octal text", "", parse, lambda value: f'"{value:03o}"')


def path() -> Kind:
    """A path; a relative one starts at the directory of the configuration file."""

    def parse(raw: object, base: Path) -> Path:
        if not isinstance(raw, str):
            raise ValueError(f"expected a path, not {type_name(raw)}")
        if not raw or "\0" in raw:
            raise ValueError("expected a path, not " + ("empty text" if not raw else "a zero byte"))
        if problem := unencodable(raw):
            raise ValueError(problem)
        try:
            expanded = Path(raw).expanduser()
        except RuntimeError:
            raise ValueError(f'"{shorten(raw)}" names a home directory nobody has') from None
        return Path(given_paths.below(str(base), str(expanded)))

    return Kind("path", "", parse, lambda value: quote(str(value)))


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


def list_of(item: Kind, *, required: str = "") -> Kind:
    """A list without repetitions; `required` says why an empty one is senseless."""

    def parse(raw: object, base: Path) -> tuple[Any, ...]:
        if not isinstance(raw, list):
            remedy = f"; write [{quote(shorten(raw))}]" if isinstance(raw, str) else ""
            raise ValueError(f"expected a list, not {type_name(raw)}{remedy}")
        if required and not raw:
            raise ValueError(required)
        return _parse_items(item, raw, base)

    def from_text(text: str) -> object:
        return [part.strip() for part in text.split(",") if part.strip()]

    def show(values: Sequence[Any]) -> str:
        return "[" + ", ".join(item.show(value) for value in values) + "]"

    return Kind(f"list of {item.name}s", item.unit, parse, show, from_text)


def _parse_items(item: Kind, raws: Sequence[object], base: Path) -> tuple[Any, ...]:
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
        told = [*faults[:_MOST_FAULTS], *([f"and {more} more"] if more > 0 else [])]
        raise ValueError("; ".join(told))
    return tuple(values)


def optional(kind: Kind, word: str) -> Kind:
    """The same kind, with one word that stands for "not set"."""

    def parse(raw: object, base: Path) -> Any:
        return None if raw == word else kind.parse(raw, base)

    def show(value: Any) -> str:
        return quote(word) if value is None else kind.show(value)

    return Kind(kind.name, kind.unit, parse, show, kind.from_text)


def type_name(raw: object) -> str:
    """What TOML holds, in words for a message."""
    names = {bool: "a boolean", int: "a whole number", float: "a number", str: "text"}
    names |= {list: "a list", dict: "a table"}
    return names.get(type(raw), "a date or time")


def quote(raw: str) -> str:
    """Text as a TOML basic string."""
    escaped = raw.replace("\\", "\\\\").replace('"', '\\"')
    return '"' + re.sub(r"[\x00-\x1f\x7f]", lambda m: f"\\u{ord(m[0]):04x}", escaped) + '"'
