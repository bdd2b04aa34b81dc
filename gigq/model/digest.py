"""Digests of texts, for names of limited length."""

import os

try:
    from _blake2 import blake2s  # hashlib also loads OpenSSL, into every process
except ImportError:
    from hashlib import blake2s


def digest(text: str, size: int) -> bytes:
    """Return a digest of `size` bytes of a text."""
    return bytes(blake2s(os.fsencode(text), digest_size=size).digest())
