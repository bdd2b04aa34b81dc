"""Passwords from the places where libpq looks for them, on a server that demands them."""

from __future__ import annotations

import traceback
from typing import TYPE_CHECKING, NamedTuple
from urllib.parse import quote

import psycopg
import pytest
from support import postgres
from support.free_port import free_port

from gigq import JobQueue
from gigq.errors import StoreUnavailable, UnsupportedStore

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

PASSWORD = "horse/battery:staple@#%"
RULES = "local all all trust\nhost all all 127.0.0.1/32 scram-sha-256\n"


class Server(NamedTuple):
    """A server on the loopback interface."""

    port: int

    @property
    def place(self) -> str:
        """Its address without the role."""
        return f"127.0.0.1:{self.port}/postgres"

    @property
    def address(self) -> str:
        """Its address for the role without the password."""
        return f"postgresql://shop@{self.place}"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    port = free_port()
    settings = f"listen_addresses = '127.0.0.1'\nport = {port}"
    with postgres.own_server(settings) as own:
        (own.folder / "pg_hba.conf").write_text(RULES)
        local = f"postgresql://postgres@/postgres?host={own.folder}&port={port}"
        with psycopg.connect(local, autocommit=True) as connection:
            connection.execute("SELECT pg_reload_conf()")
            connection.execute(f"CREATE ROLE shop LOGIN PASSWORD '{PASSWORD}'")
            connection.execute("GRANT CREATE ON DATABASE postgres TO shop")
            connection.execute("GRANT CREATE ON SCHEMA public TO shop")
        yield Server(port)


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home directory without any settings of libpq."""
    monkeypatch.setenv("HOME", str(tmp_path))
    for name in ("PGPASSWORD", "PGPASSFILE", "PGSERVICE", "PGSERVICEFILE"):
        monkeypatch.delenv(name, raising=False)
    return tmp_path


def role_at(address: str) -> str:
    with JobQueue(address) as queue:
        (found,) = queue._get_connection().execute("SELECT current_user").fetchone()
    return str(found)


def password_file(path: Path, server: Server, *, mode: int = 0o600) -> None:
    escaped = PASSWORD.replace(":", "\\:")
    path.write_text(f"127.0.0.1:{server.port}:postgres:shop:{escaped}\n")
    path.chmod(mode)


def test_the_password_file_of_the_home_directory_is_used(server: Server, home: Path) -> None:
    password_file(home / ".pgpass", server)

    assert role_at(server.address) == "shop"


def test_the_password_file_that_the_environment_or_the_address_names_is_used(
    server: Server, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    password_file(home / "secret", server)

    assert role_at(f"{server.address}?passfile={home / 'secret'}") == "shop"
    monkeypatch.setenv("PGPASSFILE", str(home / "secret"))
    assert role_at(server.address) == "shop"


def test_the_password_of_the_environment_is_used(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PGPASSWORD", PASSWORD)

    assert role_at(server.address) == "shop"


def test_the_service_file_gives_server_role_and_password(
    server: Server, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (home / ".pg_service.conf").write_text(
        f"[shop]\nhost=127.0.0.1\nport={server.port}\ndbname=postgres\nuser=shop\n"
        f"password={PASSWORD}\n"
    )

    assert role_at("postgresql:///?service=shop&schema=jobs") == "shop"
    monkeypatch.setenv("PGSERVICE", "shop")
    assert role_at("postgresql://") == "shop"


def test_an_escaped_password_in_the_address_is_used(server: Server) -> None:
    assert role_at(f"postgresql://shop:{quote(PASSWORD, safe='')}@{server.place}") == "shop"


@pytest.mark.parametrize("given", [PASSWORD, "wrong-horse"])
def test_no_error_and_no_traceback_shows_the_password(server: Server, given: str) -> None:
    escaped = quote(given, safe="")
    wrong = "no-such-role" if given == PASSWORD else "shop"
    addresses = [
        f"postgresql://{wrong}:{escaped}@{server.place}",
        f"postgresql://{wrong}:{given}@{server.place}",
        f"postgresql://{server.place}?user={wrong}&password={escaped}",
        f"postgresql://shop:{escaped}@127.0.0.1:1/postgres?connect_timeout=2",
        f"postgresql://shop:{escaped}@{server.place}?sslmodus=require",
        f"postgresql://shop:{escaped}@{server.place}?port=x",
        f"postgresql://shop:{escaped}@[::1/postgres",
        f"postgresql://shop:{escaped}@{server.place}?pooler=true&direct=postgresql://a:{given}@b",
    ]
    for address in addresses:
        with pytest.raises((StoreUnavailable, UnsupportedStore)) as caught:
            JobQueue(address)
        shown = "".join(traceback.format_exception(caught.value))
        secrets = (given, escaped, "horse", "staple")
        assert [secret for secret in secrets if secret in shown] == []


def test_a_wrong_password_is_named_as_the_reason(server: Server) -> None:
    with pytest.raises(StoreUnavailable, match="password authentication failed for user") as caught:
        JobQueue(f"postgresql://shop:wrong@{server.place}")
    assert "refuses the connection" in str(caught.value)


def test_a_missing_password_is_named_as_the_reason(server: Server) -> None:
    with pytest.raises(StoreUnavailable, match=r"no password supplied.*\.pgpass"):
        JobQueue(server.address)


def test_the_options_of_tls_reach_libpq(server: Server, home: Path) -> None:
    password_file(home / ".pgpass", server)

    with pytest.raises(StoreUnavailable, match="server does not support SSL"):
        JobQueue(f"{server.address}?sslmode=require")
