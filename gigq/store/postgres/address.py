"""The address of a PostgreSQL database, with the options that gigq has besides those of libpq."""

from __future__ import annotations

import json
import re
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from functools import lru_cache
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, unquote

from gigq.errors import UnsupportedStore
from gigq.model.database_address import (
    DIRECT,
    KEYS_OF_ADDRESS,
    AddressParts,
    is_address,
    parts_of,
    without_password,
)
from gigq.model.flags import parse_flag
from gigq.nearest import nearest

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

SCHEMA, POOLER, NOTIFY, LEASE = "schema", "pooler", "notify", "lease"
DEFAULT_LEASE = 30.0
"""The length of a lease in seconds."""

_OWN = (SCHEMA, POOLER, DIRECT, NOTIFY, LEASE)
_SHORTEST_LEASE, _LONGEST_LEASE = 3.0, 600.0
_PLACES = frozenset({"host", "hostaddr", "port"})
_SWITCH = {"on": True, "off": False}
_SCHEMA = re.compile(r"(?!pg_)[a-z_][a-z0-9_]{0,62}")
_SERVER = re.compile(r"(?P<host>/[^?&]*?|\[[^]]+\]|[^/:?&@]+)(?::(?P<port>\d+))?")
_BAD_TEXT = re.compile(r"%(?![0-9A-Fa-f]{2})|%00|\s|[\x00-\x1f\x7f\ud800-\udfff]")


class WrongKey(UnsupportedStore):
    """A wrong value of a key of the table `[queue]`.

    Args:
        key: the key.
        message: the mistake, and what to do.
    """

    def __init__(self, key: str, message: str) -> None:
        self.key = key
        super().__init__(message)


@dataclass(frozen=True, slots=True)
class Address:
    """An address, divided into what libpq reads and what gigq reads.

    Attributes:
        server: the connection URI for libpq.
        schema: the schema of the queue; None for that of the connection.
        is_pooled: True when a pooler in transaction mode is between this process and the server.
        direct: the address that avoids the pooler; None without one.
        notifies: False when workers poll only, and no notification is sent.
        lease: the length of a process's lease, in seconds.
    """

    server: str = field(repr=False)
    schema: str | None
    is_pooled: bool
    direct: str | None = field(repr=False)
    notifies: bool = True
    lease: float = DEFAULT_LEASE


@lru_cache(maxsize=64)
def parse(address: str) -> Address:
    """Divide an address into what libpq reads and what gigq reads.

    Raises:
        UnsupportedStore: it has an option with an unknown name or a wrong value, or characters that
            must be percent-encoded.
    """
    parts = parts_of(address)
    _refuse_bad_text(address, parts)
    own: dict[str, str] = {}
    rest = []
    for option in parts.options:
        name, _, value = option.partition("=")
        if unquote(name) in _OWN:
            own[unquote(name)] = unquote(value)
        else:
            rest.append(option)
    schema = _schema(own.get(SCHEMA))
    is_pooled = _chosen(POOLER, own.get(POOLER, "false"), parse_flag)
    notifies = _chosen(NOTIFY, own.get(NOTIFY, "on"), _switch)
    direct = own.get(DIRECT)
    if direct is not None and not is_pooled:
        raise UnsupportedStore(f"{DIRECT}= is for an address with {POOLER}=true; add that option")
    parts = parts._replace(options=rest)
    return Address(
        parts.text(),
        schema,
        is_pooled,
        None if direct is None else _direct(direct, parts, schema),
        notifies,
        _lease(own.get(LEASE)),
    )


def full_address(
    database: str,
    *,
    schema: str | None = None,
    pooler: bool = False,
    direct: str | None = None,
    lease: float = DEFAULT_LEASE,
) -> str:
    """Return an address that includes the given options.

    Args:
        database: the address, which may have some of the options.
        schema: the schema of the queue.
        pooler: True when a pooler in transaction mode is between gigq and the server.
        direct: the address that avoids the pooler, or its `host:port`.
        lease: the length of a process's lease, in seconds.

    Raises:
        UnsupportedStore: an option is given twice, or `parse` refuses the address.
    """
    parts = parts_of(database)
    given = {SCHEMA: schema, POOLER: "true" if pooler else None, DIRECT: direct}
    given[LEASE] = None if lease == DEFAULT_LEASE else f"{lease:g}"
    added = {name: value for name, value in given.items() if value is not None}
    twice = added.keys() & set(_names(parts.options))
    if twice:
        raise UnsupportedStore(
            f"the address of the database has the option {min(twice)}= and it is given beside it, "
            "too; remove one of the two"
        )
    options = [f"{name}={quote(value, safe='')}" for name, value in added.items()]
    address = parts._replace(options=[*parts.options, *options]).text()
    parse(address)
    return address


def with_keys(database: str, keys: Mapping[str, Any]) -> str:
    """Return the address that a configuration gives with its keys `KEYS_OF_ADDRESS`.

    Raises:
        WrongKey: the value of a key is wrong, or the address has the option, too.
        UnsupportedStore: as for `parse`.
    """
    schema, pooler, direct = (keys.get(key) or None for key in KEYS_OF_ADDRESS)
    given = set(_names(parts_of(database).options))
    for key, option in zip(KEYS_OF_ADDRESS, (SCHEMA, POOLER, DIRECT), strict=True):
        if keys.get(key) and option in given:
            raise WrongKey(key, f"the address has the option {option}=, too; remove one of the two")
    address = full_address(database, pooler=bool(pooler))
    if direct and not parse(address).is_pooled:
        raise WrongKey("direct_address", "is for the address of a pooler; set pooler = true, too")
    with _errors_of("schema"):
        address = full_address(address, schema=schema)
    with _errors_of("lease"):
        address = full_address(address, lease=keys.get("lease") or DEFAULT_LEASE)
    with _errors_of("direct_address"):
        return full_address(address, direct=direct)


@contextmanager
def _errors_of(key: str) -> Iterator[None]:
    try:
        yield
    except UnsupportedStore as error:
        raise WrongKey(key, str(error)) from None


def refuse_unknown_options(address: str, known: Iterable[str]) -> None:
    """Refuse options that neither gigq nor libpq reads.

    Args:
        address: the address.
        known: the names of libpq's options.

    Raises:
        UnsupportedStore: with the name that is probably meant.
    """
    names = {*known, *_OWN, "ssl"}  # libpq takes `ssl=true` from addresses of Java programs
    for name in _names(parts_of(address).options):
        if name not in names:
            near = nearest(name, names)
            raise UnsupportedStore(
                f"{without_password(address)}: unknown option {name!r}"
                + (f"; do you mean {near!r}?" if near else "; see the options of libpq")
            )


def _names(options: Iterable[str]) -> Iterator[str]:
    return (unquote(option.partition("=")[0]) for option in options)


def _refuse_bad_text(address: str, parts: AddressParts) -> None:
    """Refuse an address that libpq would divide elsewhere, and would then show parts of."""
    if parts.is_divided_wrongly or _BAD_TEXT.search(address):
        raise UnsupportedStore(
            f"{without_password(address)} has characters that must be escaped in the user name, "
            "the password or an option, such as %2F for / and %40 for @"
        )


def _schema(name: str | None) -> str | None:
    if name is None or _SCHEMA.fullmatch(name):
        return name
    raise UnsupportedStore(
        f"{SCHEMA}={name!r} is no name for the schema of a queue; use at most 63 lower-case "
        "letters, digits and _, no digit first, and not pg_ at the start"
    )


def _lease(value: str | None) -> float:
    if value is None:
        return DEFAULT_LEASE
    with suppress(ValueError):
        if _SHORTEST_LEASE <= (seconds := float(value)) <= _LONGEST_LEASE:
            return seconds
    raise UnsupportedStore(
        f"{LEASE}={value!r} is no length of a lease; give seconds from {_SHORTEST_LEASE:g} to "
        f"{_LONGEST_LEASE:g}"
    )


def _chosen(name: str, value: str, read: Callable[[str], bool]) -> bool:
    try:
        return read(value)
    except ValueError as error:
        raise UnsupportedStore(f"{name}={value}: {error}") from None


def _switch(value: str) -> bool:
    if value in _SWITCH:
        return _SWITCH[value]
    raise ValueError(f"expected on or off, not {json.dumps(value)}")


def _direct(given: str, pooled: AddressParts, schema: str | None) -> str:
    """Return the full direct address: its own, or that of the pooler on another host or port."""
    if is_address(given):
        return full_address(given, schema=schema)
    found = _SERVER.fullmatch(given)
    if found is None:
        raise UnsupportedStore(
            "the direct address is neither host:port nor postgresql://…, which an option has "
            "percent-encoded; write it as in db.example:5432"
        )
    options = [
        option
        for option, name in zip(pooled.options, _names(pooled.options), strict=True)
        if name not in _PLACES
    ]
    options.append(f"host={quote(found['host'].strip('[]'), safe='')}")
    if found["port"]:
        options.append(f"port={found['port']}")
    database = pooled.place.partition("/")[2]
    moved = pooled._replace(place=f"/{database}", options=options)
    return full_address(moved.text(), schema=schema)
