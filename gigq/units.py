"""Durations and sizes as text: "30s", "1h30m", "250ms"; "64 KiB", "300 MB", "1.5 GiB"."""

from __future__ import annotations

import re

MINUTE, HOUR, DAY = 60.0, 3600.0, 86_400.0
KIB, MIB, GIB = 1024, 1024**2, 1024**3

_SECONDS = {"d": DAY, "h": HOUR, "m": MINUTE, "s": 1.0, "ms": 0.001}
_BYTES = {
    f"{letter}{suffix}": base**power
    for base, letters, suffix in ((1024, "TGMK", "iB"), (1000, "TGMk", "B"))
    for power, letter in zip((4, 3, 2, 1), letters, strict=True)
} | {"B": 1}
_FACTORS = {"": 1} | {unit.lower(): count for unit, count in _BYTES.items()}
_NUMBER = r"[0-9]{1,30}(?:\.[0-9]{1,30})?"
_PART = re.compile(rf"({_NUMBER})\s*(ms|[dhms])\s*")
_QUANTITY = re.compile(rf"({_NUMBER})\s*([A-Za-z]*)")
_LONGEST_SHOWN = 60


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
            f'{_quoted(text)} is not a duration; write "30s", "5m", "1h30m" or "250ms"'
        )
    return sum(float(part[1]) * _SECONDS[part[2]] for part in parts)


def format_duration(seconds: float) -> str:
    """Return a duration with all its units, which `parse_duration` reads back: "1h30m", "250ms"."""
    if seconds != round(seconds, 3) or seconds < 0:
        return f"{seconds!r}".removesuffix(".0") + "s"
    rest, parts = round(seconds * 1000), []
    for unit, size in _SECONDS.items():
        count, rest = divmod(rest, round(size * 1000))
        if count:
            parts.append(f"{count}{unit}")
    return "".join(parts) or "0s"


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
    from fractions import Fraction  # slow to import, and few jobs have a limit

    return int(Fraction(match[1]) * factor)


def format_size(count: int) -> str:
    """Return a size in the largest unit that says it exactly: "64 KiB", "300 MB", "1025 B"."""
    unit = next(unit for unit, size in _BYTES.items() if size == 1 or (count and count % size == 0))
    return f"{count // _BYTES[unit]} {unit}"


def _remedy(match: re.Match[str] | None) -> str:
    if match and len(match[2]) == 1 and match[2].upper() in "KMGT":
        return f'did you mean "{match[1]} {match[2].upper()}iB"?'
    return 'write one such as "64 KiB", "512 MiB" or "300 MB"'


def _quoted(text: str) -> str:
    shown = text if len(text) <= _LONGEST_SHOWN else f"{text[: _LONGEST_SHOWN - 1]}…"
    return f'"{repr(shown)[1:-1]}"'
