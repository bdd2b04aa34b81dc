"""Masks the passwords in URLs, before a text is logged or shown."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

MASK = "***"

# the lengths are bounded, so that a long text costs no more than its length
_URL_PASSWORD = re.compile(
    r"([a-z][a-z0-9+.-]{0,20}://[^\s:/@]{0,99}):[^\s/]{1,4096}@", re.IGNORECASE
)


def mask_passwords(value: Any) -> Any:
    """Return a value of JSON's kinds without the passwords in URLs that its texts hold."""
    if isinstance(value, str):
        return _URL_PASSWORD.sub(rf"\1:{MASK}@", value) if "://" in value else value
    if isinstance(value, Mapping):
        return {key: mask_passwords(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [mask_passwords(item) for item in value]
    return value
