"""Text from outside: made safe to show, or shortened to a digest."""

import os

try:
    from _blake2 import blake2s  # hashlib loads OpenSSL besides, into every process
except ImportError:
    from hashlib import blake2s


def printable(text: str, keep: str = "") -> str:
    """Text without anything that a terminal would obey instead of show.

    Args:
        text: any text, also with control characters, direction marks or lone surrogates.
        keep: characters that stay as they are although they are not printable.
    """
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() or c in keep else ascii(c)[1:-1] for c in text)


def digest(text: str, size: int) -> bytes:
    """Return `size` bytes that stand for a text."""
    return bytes(blake2s(os.fsencode(text), digest_size=size).digest())
