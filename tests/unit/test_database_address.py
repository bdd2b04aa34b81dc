"""The address of a PostgreSQL database, as messages show it"""

from __future__ import annotations

import pytest

from gigq.model.database_address import address_begin, without_password


@pytest.mark.parametrize(
    ("address", "shown"),
    [
        ("postgresql://shop:secret@db.example:5432/shop", "postgresql://shop@db.example:5432/shop"),
        ("postgres://shop:secret@/shop?host=/run", "postgres://shop@/shop?host=/run"),
        ("postgresql://db.example/shop?user=me&password=secret", "postgresql://db.example/shop?user=me"),
        ("postgresql:///shop?sslpassword=secret", "postgresql:///shop"),
        ("postgresql://shop@[::1]:5432/shop", "postgresql://shop@[::1]:5432/shop"),
        ("postgresql://db:5432/shop?application_name=a@b", "postgresql://db:5432/shop?application_name=a@b"),
        ("postgresql://u:secret@db/x?application_name=a@b", "postgresql://u@db/x?application_name=a@b"),
        ("postgresql:///shop", "postgresql:///shop"),
    ],
)  # fmt: skip
def test_an_address_is_shown_without_its_password(address: str, shown: str) -> None:
    assert without_password(address) == shown


@pytest.mark.parametrize("password", ["se/cret", "se?cret", "se#cret", "se@cret", "12/34", "s:e[c"])
@pytest.mark.parametrize("end", ["", "?password=also"])
def test_a_password_that_is_not_escaped_is_not_shown_either(password: str, end: str) -> None:
    address = f"postgresql://shop:{password}@db.example/shop{end}"

    assert without_password(address) == "postgresql://shop@db.example/shop"


@pytest.mark.parametrize(
    ("text", "begin"),
    [
        ("postgresql:/shop", "postgresql:"),
        ("host=db dbname=shop", "host="),
        ("sslmode=require dbname = shop", "sslmode="),
        ("shop.db", None),
        ("name=shop.db", None),
        ("a b=c.db", None),
    ],
)
def test_a_text_that_names_a_server_in_another_form_is_no_file_name(
    text: str, begin: str | None
) -> None:
    assert address_begin(text) == begin
