"""Durations and sizes as text: "30s", "1h30m", "250ms"; "64 KiB", "300 MB", "1.5 GiB"."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

MINUTE, HOUR, DAY = 60.0, 3600.0, 86_400.0
KIB, MIB, GIB = 1024, 1024**2, 1024**3

_SECONDS = {"d": DAY, "h": HOUR, "m": MINUTE, "s": 1.0, "ms": 0.001}
_BYTES = {
    f"{letter}{suffix}": base**power
    for base, letters, suffix in ((1024, "TGMK", "iB"), (1000, "TGMk", "B"))
    for power, letter in zip((4, 3, 2, 1), letters, strict=True)
} | {"B": 1}
_BINARY = ("TiB", "GiB", "MiB", "KiB")
_FACTORS = {"": 1} | {unit.lower(): count for unit, count in _BYTES.items()}
_NUMBER = r"[0-9]{1,30}(?:\.[0-9]{1,30})?"
_PART = re.compile(rf"({_NUMBER})\s*(ms|[dhms])\s*")
_QUANTITY = re.compile(rf"({_NUMBER})\s*([A-Za-z]*)")
_LONGEST_SHOWN = 60
_MOST_SECONDS = 1e15


def parse_duration(text: str, *, bare: float | None = None) -> float:
    """Return the seconds of a duration such as "30s", "5m", "1h30m" or "250ms".

    Args:
        text: numbers with units (d, h, m, s, ms), each unit once at most, the larger ones first.
        bare: the seconds that a number without a unit counts; None to refuse such a number.

    Raises:
        ValueError: the text is no duration.
    """
    written = text.strip()
    if bare is not None and re.fullmatch(_NUMBER, written):
        return float(written) * bare
    parts = [*_PART.finditer(written)]
    units = [part[2] for part in parts]
    in_order = sorted(set(units), key=[*_SECONDS].index) == units
    if not parts or sum(len(part[0]) for part in parts) != len(written) or not in_order:
        raise ValueError(
            f'{_quoted(text)} is not a duration; write "30s", "5m", "1h30m", "2d" or "250ms"'
        )
    return sum(float(part[1]) * _SECONDS[part[2]] for part in parts)


def format_duration(seconds: float, *, exact: bool = False) -> str:
    """Return a duration as text: "250ms", "1.25s", "1h30m".

    Args:
        seconds: the duration.
        exact: False for three significant digits below a minute, and the two largest units
            above it; True for all units, which `parse_duration` reads back.
    """
    if seconds < 0:
        return f"-{format_duration(-seconds, exact=exact)}"
    if not seconds < _MOST_SECONDS or (exact and seconds != round(seconds, 3)):
        return f"{seconds!r}".removesuffix(".0") + "s"
    if exact:
        return "".join(_parts(seconds)) or "0s"
    if seconds < MINUTE:
        small = 0 < seconds < 1
        return f"{_significant(seconds * 1000)}ms" if small else f"{_significant(seconds)}s"
    return "".join(_parts(int(seconds), count=2))


def _parts(seconds: float, count: int = len(_SECONDS)) -> Iterator[str]:
    """Yield a duration in so many adjacent units, from the largest that it fills."""
    rest = round(seconds * 1000)
    sizes = {unit: round(size * 1000) for unit, size in _SECONDS.items()}
    filled = [unit for unit in sizes if sizes[unit] <= rest][:count]
    for unit in filled:
        number, rest = divmod(rest, sizes[unit])
        if number:
            yield f"{number}{unit}"


def parse_size(text: str) -> int:
    """Return the bytes of a size such as "64 KiB" or "300 MB".

    Args:
        text: a number with a unit, in any case: decimal (kB, MB, GB, TB: thousands) or binary
            (KiB, MiB, GiB, TiB: 1024); without a unit, bytes. A fraction of a byte is dropped.

    Raises:
        ValueError: the text is no size.
    """
    match = _QUANTITY.fullmatch(text.strip())
    factor = _FACTORS.get(match[2].lower()) if match else None
    if match is None or factor is None or (factor == 1 and "." in match[1]):
        raise ValueError(f"{_quoted(text)} is not a size; {_remedy(match)}")
    if "." not in match[1]:
        return int(match[1]) * int(factor)
    from fractions import Fraction  # slow to import, and seldom needed

    return int(Fraction(match[1]) * factor)


def format_size(count: float, *, exact: bool = False) -> str:
    """Return a size as text: "64 KiB", "1.5 GiB".

    Args:
        count: the size in bytes.
        exact: False for three significant digits; True for the largest unit, binary or decimal,
            in which it is a whole number, which `parse_size` reads back.
    """
    if exact:
        units = (unit for unit, size in _BYTES.items() if count and count % size == 0)
        unit = next(units, "B")
        return f"{count // _BYTES[unit]} {unit}"
    unit = next((unit for unit in _BINARY if abs(count) >= _BYTES[unit]), "B")
    return f"{_significant(count / _BYTES[unit])} {unit}"


def _significant(number: float) -> str:
    """Return a number with three significant digits, or with all before the point."""
    digits = 2 if abs(number) < 10 else 1 if abs(number) < 100 else 0
    text = f"{number:.{digits}f}"
    return text.rstrip("0").rstrip(".") if digits else text


def _remedy(match: re.Match[str] | None) -> str:
    if match and len(match[2]) == 1 and match[2].upper() in "KMGT":
        return f'did you mean "{match[1]} {match[2].upper()}iB"?'
    return 'write one such as "64 KiB", "512 MiB" or "300 MB"'


def _quoted(text: str) -> str:
    shown = text if len(text) <= _LONGEST_SHOWN else f"{text[: _LONGEST_SHOWN - 1]}…"
    return f'"{repr(shown)[1:-1]}"'
