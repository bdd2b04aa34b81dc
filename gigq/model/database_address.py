"""The two kinds of database that a text can name: a file, or a PostgreSQL database."""

from __future__ import annotations

import re
from typing import NamedTuple

SCHEME = re.compile(r"[a-z][a-z0-9+.-]*://", re.IGNORECASE)
"""The begin of an address of any kind."""

DIRECT = "direct"
"""The option of an address whose value may be another address."""

KEYS_OF_ADDRESS = ("schema", "pooler", "direct_address")
"""The keys of the table `[queue]` that are options of the address."""

_SCHEMES = ("postgresql://", "postgres://")
_LONGEST_SCHEME = len(_SCHEMES[0])
_END_OF_NAME = re.compile(r"[:@/?#]")
_SECRET = re.compile(r"\w*password\w*", re.IGNORECASE)
_KEYWORD = r"(?:host|hostaddr|port|dbname|user|password|service)\s*="
_BEGIN = re.compile(
    rf"\s*(?:(?:jdbc:)?{SCHEME.pattern}|postgres(?:ql)?(?::|//)"
    rf"|{_KEYWORD}|\w+\s*=(?=.*\s{_KEYWORD}|.*\bpassword\s*=))",
    re.IGNORECASE,
)


class AddressParts(NamedTuple):
    """The parts of an address as libpq divides it, each percent-encoded.

    Attributes:
        scheme: `postgresql` or `postgres`, in small letters, since libpq knows no others.
        user: the name of the role; empty for none.
        password: the password of the role, or None.
        place: the hosts with their ports, and the name of the database after a slash.
        options: the options, each `name=value`.
    """

    scheme: str
    user: str
    password: str | None
    place: str
    options: list[str]

    @property
    def is_divided_wrongly(self) -> bool:
        """True when the password, or another part, has a character that must be escaped."""
        return "@" in self.place or any(map(_is_part_of_a_password, self.options))

    def text(self) -> str:
        """Return the address."""
        secret = "" if self.password is None else f":{self.password}"
        login = f"{self.user}{secret}@" if self.user or secret else ""
        query = f"?{'&'.join(self.options)}" if self.options else ""
        return f"{self.scheme}://{login}{self.place}{query}"


def is_address(path: object) -> bool:
    """Return True for the address of a PostgreSQL database; its scheme may have capitals."""
    return isinstance(path, str) and path[:_LONGEST_SCHEME].lower().startswith(_SCHEMES)


def address_begin(text: str) -> str | None:
    """Return the begin of a text that names a server, also of one with a mistake; else None.

    So has one with libpq's keywords. A file of that name would show the password.
    """
    found = _BEGIN.match(text)
    return found[0] if found else None


def parts_of(address: str) -> AddressParts:
    """Divide an address."""
    scheme, _, rest = address.partition("://")
    # A password may contain a question mark.
    login, at, after = rest.partition("@")
    if not at or "/" in login:
        login, after = "", rest
    user, colon, password = login.partition(":")
    place, _, query = after.partition("?")
    options = query.split("&") if query else []
    return AddressParts(scheme.lower(), user, password if colon else None, place, options)


def without_password(address: str) -> str:
    """Return the address of a PostgreSQL database for messages, logs and process lists.

    A password with characters that an address must escape is removed, too.
    """
    parts = parts_of(address)
    before, at, after = address.partition("://")[2].rpartition("@")
    if at and parts.is_divided_wrongly:
        if _SECRET.search(before) or DIRECT in before:
            return f"{parts.scheme}://***"
        parts = parts_of(f"{parts.scheme}://{_END_OF_NAME.split(before, 1)[0]}@{after}")
    shown = [one for one in map(_shown, parts.options) if one]
    return parts._replace(password=None, options=shown).text()


def _is_part_of_a_password(option: str) -> bool:
    name, equals, value = _divided(option)
    return not equals or ("@" in value and (name == DIRECT or bool(_SECRET.fullmatch(name))))


def _shown(option: str) -> str:
    """Return an option without the password in it; empty for a password."""
    from urllib.parse import quote, unquote

    name, equals, value = _divided(option)
    if not equals or _SECRET.fullmatch(name):
        return ""
    if name == DIRECT and is_address(unquote(value)):
        return f"{name}={quote(without_password(unquote(value)), safe='')}"
    return option


def _divided(option: str) -> tuple[str, str, str]:
    from urllib.parse import unquote

    name, equals, value = option.partition("=")
    return unquote(name), equals, value
