"""Sizes of memory as people write them: "300 MB", "512MiB", "1.5 GB"."""

from __future__ import annotations

import re

_UNITS = {"": 1, "b": 1} | {
    f"{letter}{suffix}": base**power
    for power, letter in enumerate("kmgt", start=1)
    for suffix, base in (("ib", 1024), ("b", 1000))
}
_SIZE = re.compile(r"([0-9]{1,30}(?:\.[0-9]{1,30})?)\s*([A-Za-z]*)")


def parse(text: str) -> int:
    """Read a size.

    Args:
        text: a number with a unit, in any case: decimal (kB, MB, GB, TB: thousands) or binary
            (KiB, MiB, GiB, TiB: 1024); without a unit, bytes. A fraction of a byte is dropped.

    Returns:
        Bytes.

    Raises:
        ValueError: the text is no size.
    """
    match = _SIZE.fullmatch(text.strip())
    factor = _UNITS.get(match[2].lower()) if match else None
    if match is None or factor is None:
        raise ValueError(f"{text!r} is not a size; write one such as '300 MB' or '512 MiB'")
    from fractions import Fraction  # slow to import, and few jobs have a limit

    return int(Fraction(match[1]) * factor)
