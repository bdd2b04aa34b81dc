"""The two kinds of database that a text can name: a file, or a PostgreSQL database."""

from __future__ import annotations

import re

_SCHEMES = ("postgresql://", "postgres://")
_PARTS = re.compile(r"([^:]*://)([^/?#]*)([^?]*)\??(.*)", re.DOTALL)
_PORT = re.compile(r"(.*:)?\d*")
_END_OF_NAME = re.compile(r"[:@/?#]")
_SECRET = re.compile(r"[^=]*password[^=]*=", re.IGNORECASE)


def is_address(path: object) -> bool:
    """Return True for the address of a PostgreSQL database."""
    return isinstance(path, str) and path.startswith(_SCHEMES)


def has_bare_password(address: str) -> bool:
    """Return True for an address with a password that contains an unescaped delimiter."""
    found = _PARTS.match(address)
    if found is None:
        return False
    _, authority, path, query = found.groups()
    is_complete = "@" in authority or _PORT.fullmatch(authority) is not None
    return "@" in path or ("@" in query and not is_complete)


def without_password(address: str) -> str:
    """Return the address of a PostgreSQL database for messages, logs and process lists.

    A password with characters that an address must escape is removed, too.
    """
    found = _PARTS.match(address)
    if found is None:
        return address
    scheme, authority, path, query = found.groups()
    if has_bare_password(address):
        rest = address.removeprefix(scheme)
        return without_password(
            f"{scheme}{_END_OF_NAME.split(rest, 1)[0]}@{rest.rpartition('@')[2]}"
        )
    user, _, server = authority.rpartition("@")
    name = user.partition(":")[0]
    kept = "&".join(one for one in query.split("&") if not _SECRET.match(one))
    shown = f"{scheme}{name}@{server}{path}" if name else f"{scheme}{server}{path}"
    return f"{shown}?{kept}" if kept else shown
