"""The two kinds of database that a text can name: a file, or a PostgreSQL database."""

from __future__ import annotations

_SCHEMES = ("postgresql://", "postgres://")


def is_address(path: object) -> bool:
    """Return True for the address of a PostgreSQL database."""
    return isinstance(path, str) and path.startswith(_SCHEMES)


def without_password(address: str) -> str:
    """Return the address of a PostgreSQL database for messages, logs and process lists."""
    from urllib.parse import urlsplit

    parts = urlsplit(address)
    user, _, server = parts.netloc.rpartition("@")
    name = user.partition(":")[0]
    query = "&".join(one for one in parts.query.split("&") if not one.startswith("password="))
    return parts._replace(netloc=f"{name}@{server}" if name else server, query=query).geturl()
