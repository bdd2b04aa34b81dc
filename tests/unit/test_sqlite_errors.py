from __future__ import annotations

import sqlite3

import pytest

from gigq.errors import StoreCorrupt, StoreError, StoreLocked, StoreUnavailable
from gigq.store.sqlite.errors import is_busy, translated, until_free


def error(code: int) -> sqlite3.Error:
    made = sqlite3.OperationalError("the wording may be anything")
    made.sqlite_errorcode = code
    made.sqlite_errorname = f"NAME_{code}"
    return made


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        (sqlite3.SQLITE_BUSY, StoreLocked),
        (sqlite3.SQLITE_BUSY_SNAPSHOT, StoreLocked),
        (sqlite3.SQLITE_BUSY_RECOVERY, StoreLocked),
        (sqlite3.SQLITE_LOCKED, StoreLocked),
        (sqlite3.SQLITE_CORRUPT, StoreCorrupt),
        (sqlite3.SQLITE_NOTADB, StoreCorrupt),
        (sqlite3.SQLITE_FULL, StoreUnavailable),
        (sqlite3.SQLITE_IOERR_WRITE, StoreUnavailable),
        (sqlite3.SQLITE_READONLY, StoreUnavailable),
        (sqlite3.SQLITE_CANTOPEN, StoreUnavailable),
        (sqlite3.SQLITE_ERROR, StoreError),
        (sqlite3.SQLITE_CONSTRAINT, StoreError),
    ],
)
def test_a_code_decides_what_an_error_is(code: int, kind: type[StoreError]) -> None:
    found = translated(error(code), "/srv/queue.db")

    assert type(found) is kind
    assert str(found).startswith("/srv/queue.db")
    assert f"NAME_{code}" in str(found)


def test_an_error_of_the_module_itself_has_no_code() -> None:
    plain = sqlite3.ProgrammingError("Cannot operate on a closed database.")

    assert not is_busy(plain)
    assert "closed database" in str(translated(plain, "q.db"))


def test_waiting_ends_when_the_lock_is_free() -> None:
    answers = iter([error(sqlite3.SQLITE_BUSY), error(sqlite3.SQLITE_BUSY), "done"])

    def action() -> str:
        answer = next(answers)
        if isinstance(answer, sqlite3.Error):
            raise answer
        return str(answer)

    assert until_free(action, 30, "q.db") == "done"


def test_what_is_not_a_lock_is_not_waited_for() -> None:
    tries = []

    def action() -> None:
        tries.append(1)
        raise error(sqlite3.SQLITE_FULL)

    with pytest.raises(StoreUnavailable):
        until_free(action, 30, "q.db")
    assert len(tries) == 1
