"""Store errors for errors of the driver."""

from __future__ import annotations

import psycopg
import pytest

from gigq.errors import StoreUnavailable
from gigq.store.postgres.errors import translated

ADDRESS = "postgresql://db/orders"
IO_ERROR = psycopg.errors.lookup("58030")("could not read the file")
DONE = "may have been done all the same"


@pytest.mark.parametrize(
    ("text", "remedy"),
    [
        ("connection failed: FATAL:  the database system is starting up", "check that the server"),
        ("connection failed: FATAL:  the database system is shutting down", "check that the"),
        ('connection failed: FATAL:  database "orders" does not exist', "correct the address"),
        ("connection failed: FATAL:  sorry, too many clients already", "raise max_connections"),
        ("connection refused", "check that the server runs"),
    ],
)
def test_an_error_at_the_connection_has_the_remedy_for_its_text(text: str, remedy: str) -> None:
    found = translated(psycopg.OperationalError(text), ADDRESS)

    assert isinstance(found, StoreUnavailable)
    assert remedy in str(found)


def test_an_error_of_the_server_itself_makes_it_unavailable() -> None:
    assert isinstance(translated(IO_ERROR, ADDRESS), StoreUnavailable)


@pytest.mark.parametrize(("is_lost", "may_be_done"), [(True, True), (True, False), (False, True)])
def test_only_a_lost_connection_leaves_a_commit_open(*, is_lost: bool, may_be_done: bool) -> None:
    found = translated(IO_ERROR, ADDRESS, is_lost=is_lost, may_be_done=may_be_done)

    assert (DONE in str(found)) is (is_lost and may_be_done)
