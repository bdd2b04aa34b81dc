"""The address of a PostgreSQL database, with the options of gigq."""

from __future__ import annotations

import pytest

from gigq.errors import UnsupportedStore
from gigq.model.database_address import address_begin, is_address, without_password
from gigq.store.postgres.address import full_address, parse, refuse_unknown_options

PLAIN = "postgresql://shop:s%40crt@db.example:6432/orders?sslmode=require"


def test_libpq_reads_an_address_without_the_options_of_gigq() -> None:
    found = parse(f"{PLAIN}&schema=jobs&pooler=true")

    assert (found.server, found.schema, found.is_pooled) == (PLAIN, "jobs", True)
    assert parse(PLAIN).server == PLAIN
    assert (parse(PLAIN).schema, parse(PLAIN).is_pooled) == (None, False)


@pytest.mark.parametrize(
    "name", ["Jobs", "my-jobs", "1st", "", "pg_jobs", "a" * 64, 'jobs"; DROP TABLE jobs; --']
)
def test_a_schema_that_needs_quotes_is_refused(name: str) -> None:
    with pytest.raises(UnsupportedStore, match="lower-case letters, digits and _"):
        full_address(PLAIN, schema=name)


def test_a_pooler_is_there_or_not() -> None:
    with pytest.raises(UnsupportedStore, match='pooler=yes: expected true or false, not "yes"'):
        parse(f"{PLAIN}&pooler=yes")


def test_notifications_are_on_or_off() -> None:
    assert parse(PLAIN).notifies
    found = parse(f"{PLAIN}&notify=off")
    assert (found.server, found.notifies) == (PLAIN, False)
    with pytest.raises(UnsupportedStore, match="notify=no: expected on or off"):
        parse(f"{PLAIN}&notify=no")


@pytest.mark.parametrize(
    ("given", "direct"),
    [
        ("pg.example", "postgresql://shop:s%40crt@/orders?sslmode=require&host=pg.example"),
        (
            "pg.example:5433",
            "postgresql://shop:s%40crt@/orders?sslmode=require&host=pg.example&port=5433",
        ),
        ("[::1]:5433", "postgresql://shop:s%40crt@/orders?sslmode=require&host=%3A%3A1&port=5433"),
        (
            "/run/postgresql",
            "postgresql://shop:s%40crt@/orders?sslmode=require&host=%2Frun%2Fpostgresql",
        ),
        ("postgresql://admin:x@pg/orders", "postgresql://admin:x@pg/orders"),
    ],
)
def test_a_direct_address_is_a_server_or_an_address_of_its_own(given: str, direct: str) -> None:
    address = full_address(PLAIN, schema="jobs", pooler=True, direct=given)

    joint = "&" if "?" in direct else "?"
    assert parse(address).direct == f"{direct}{joint}schema=jobs"
    assert parse(parse(address).direct or "").is_pooled is False


def test_a_direct_server_replaces_the_host_and_port_that_are_options() -> None:
    pooled = "postgresql:///orders?host=/run/pgbouncer&port=6432&user=shop"

    assert parse(full_address(pooled, pooler=True, direct="/run/postgresql:5432")).direct == (
        "postgresql:///orders?user=shop&host=%2Frun%2Fpostgresql&port=5432"
    )


def test_a_direct_address_needs_a_pooler() -> None:
    with pytest.raises(UnsupportedStore, match="pooler=true"):
        parse(f"{PLAIN}&direct=pg.example")


def test_an_option_is_given_once() -> None:
    with pytest.raises(UnsupportedStore, match="remove one of the two"):
        full_address(f"{PLAIN}&schema=jobs", schema="jobs")


@pytest.mark.parametrize(
    ("name", "near"), [("shema", "schema"), ("poolr", "pooler"), ("sslmod", "sslmode")]
)
def test_a_misspelt_option_is_refused_with_the_name_that_is_meant(name: str, near: str) -> None:
    with pytest.raises(UnsupportedStore, match=f"unknown option '{name}'; do you mean '{near}'"):
        refuse_unknown_options(f"postgresql://db/orders?{name}=x", ["sslmode", "host"])


def test_an_option_for_java_that_libpq_takes_is_accepted() -> None:
    refuse_unknown_options("postgresql://db/orders?ssl=true&host=x", ["host"])


@pytest.mark.parametrize(
    "address",
    [
        "postgresql://shop:s3/crt@db/orders",
        "postgresql://shop:s3@crt@db/orders",
        "postgresql://shop:s3%crt@db/orders",
        "postgresql://shop:s3crt%00@db/orders",
        "postgresql://shop:s3 crt@db/orders",
        "postgresql://shop:/s3?crt@db/orders",
        "postgresql://db/orders?password=s3%crt",
        "postgresql://db/orders?password=s3@crt",
        "postgresql://db/orders?direct=postgresql://shop:s3crt@pg/orders",
    ],
)
def test_a_password_that_is_not_encoded_is_refused_and_not_shown(address: str) -> None:
    with pytest.raises(UnsupportedStore, match="must be escaped") as caught:
        parse(address)
    assert "s3" not in str(caught.value)
    assert "crt" not in str(caught.value)


@pytest.mark.parametrize(
    ("address", "shown"),
    [
        (PLAIN, "postgresql://shop@db.example:6432/orders?sslmode=require"),
        ("postgresql://shop:a?b#c@db/orders", "postgresql://shop@db/orders"),
        ("postgresql://:secret@db/orders", "postgresql://db/orders"),
        (
            "postgresql://db/orders?password=a&user=shop&sslpassword=b&pass%77ord=c",
            "postgresql://db/orders?user=shop",
        ),
        (
            "postgresql://db/orders?direct=postgresql%3A%2F%2Fshop%3Asecret%40pg%2Forders",
            "postgresql://db/orders?direct=postgresql%3A%2F%2Fshop%40pg%2Forders",
        ),
        ("postgresql://db/orders?direct=pg%3A5432", "postgresql://db/orders?direct=pg%3A5432"),
    ],
)
def test_an_address_is_shown_without_its_passwords(address: str, shown: str) -> None:
    assert without_password(address) == shown


def test_the_parts_of_an_address_are_shown_without_passwords() -> None:
    found = parse(full_address(PLAIN, pooler=True, direct="pg.example"))

    assert "crt" not in repr(found)


@pytest.mark.parametrize("scheme", ["postgres", "postgresql", "PostgreSQL", "Postgres", "POSTGRES"])
def test_the_scheme_may_have_capitals_which_libpq_does_not_know(scheme: str) -> None:
    address = f"{scheme}://shop:secret@db.example/orders"
    assert is_address(address)
    assert parse(address).server == f"{scheme.lower()}://shop:secret@db.example/orders"
    assert without_password(address) == f"{scheme.lower()}://shop@db.example/orders"


@pytest.mark.parametrize("path", ["Postgres.db", "postgresql/jobs.db", "a=b.db", "password.db"])
def test_a_file_may_have_a_name_like_that_of_a_server(path: str) -> None:
    assert not is_address(path)
    assert address_begin(path) is None
