"""Following up on a subclass that settles jobs with SQL of its own."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from support import raw_sql
from support.ledger import status_of, stored, taken

from gigq.store.verbs import rows_of_other_programs

if TYPE_CHECKING:
    from gigq.store.database import Database


@pytest.mark.parametrize(
    ("status", "released", "child_status"),
    [
        ("completed", ("default",), "pending"),
        ("failed", (), "failed"),
        ("running", (), "pending"),
        ("a status that is unknown", (), "pending"),
    ],
)
def test_dependents_learn_what_foreign_sql_did_to_their_parent(
    db: Database, status: str, released: tuple[str, ...], child_status: str
) -> None:
    parent = stored(db)
    child = stored(db, dependencies=[parent])
    taken(db)
    with db.transaction(durable=False) as session:
        raw_sql.execute(session, "UPDATE jobs SET status = ? WHERE id = ?", (status, parent))

    assert rows_of_other_programs.follow_up(db, parent) == released
    assert rows_of_other_programs.follow_up(db, parent) == ()
    assert status_of(db, child) == child_status


def test_an_unknown_job_has_no_dependents(db: Database) -> None:
    assert rows_of_other_programs.follow_up(db, "nobody") == ()
