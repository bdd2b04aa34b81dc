"""Masking of passwords in URLs, before a text is logged or shown."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

MASK = "***"

# The lengths are bounded, so that the time stays proportional to the text's length. A password may
# have any character but a blank; digits and a slash after a colon are a port, followed by a path.
_URL_PASSWORD = re.compile(
    r"([a-z][a-z0-9+.-]{0,20}://[^\s:/@]{0,99}):(?!\d{1,5}/)[^\s]{1,4096}@", re.IGNORECASE
)
# Without a password the name before the host is the secret: the token of a web service.
_TOKEN = re.compile(r"(https?://)[^\s:/@]{1,4096}@", re.IGNORECASE)
# An address of PostgreSQL has a password as an option, and another address, percent-encoded.
_OPTION = re.compile(r"([?&](?:ssl)?password=)[^\s&\"']{1,4096}", re.IGNORECASE)
_ENCODED = re.compile(
    r"(=postgres(?:ql)?%3A%2F%2F[^\s&%]{0,99}%3A)[^\s&]{1,4096}(%40)", re.IGNORECASE
)


def mask_passwords(value: Any) -> Any:
    """Return a value of JSON's kinds without the passwords in URLs that its texts hold."""
    if isinstance(value, str):
        return _masked(value) if "://" in value else value
    if isinstance(value, Mapping):
        return {key: mask_passwords(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [mask_passwords(item) for item in value]
    return value


def _masked(text: str) -> str:
    text = _ENCODED.sub(rf"\1{MASK}\2", _OPTION.sub(rf"\1{MASK}", text))
    return _TOKEN.sub(rf"\1{MASK}@", _URL_PASSWORD.sub(rf"\1:{MASK}@", text))
