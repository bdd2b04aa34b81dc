"""Looking for a queue must not make one."""

from __future__ import annotations

import sqlite3
from contextlib import closing

import pytest

from gigq import errors
from gigq.store.read_only import refuse_without_queue

pytestmark = pytest.mark.only("sqlite")


def test_a_queue_is_recognised(db, address):
    db.all("number_of_all")

    assert refuse_without_queue(address) is None


def test_a_missing_file_is_refused_and_stays_missing(tmp_path):
    with pytest.raises(errors.StoreUnavailable, match="there is no database"):
        refuse_without_queue(tmp_path / "typo.db")

    assert list(tmp_path.iterdir()) == []


def test_a_database_of_another_program_is_refused_and_stays_as_it_is(tmp_path):
    path = tmp_path / "other.db"
    with closing(sqlite3.connect(path)) as other:
        other.execute("CREATE TABLE places (name TEXT)")
    before = path.read_bytes()

    with pytest.raises(errors.StoreUnavailable, match="no queue in it"):
        refuse_without_queue(path)

    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


def test_an_empty_file_is_refused_and_stays_empty(tmp_path):
    path = tmp_path / "empty.db"
    path.touch()

    with pytest.raises(errors.StoreUnavailable, match="no queue in it"):
        refuse_without_queue(path)

    assert path.stat().st_size == 0


def test_a_text_file_is_called_what_it_is(tmp_path):
    path = tmp_path / "notes.txt"
    path.write_text("these are notes and no database, " * 100)

    with pytest.raises(errors.StoreCorrupt, match="not a database"):
        refuse_without_queue(path)


def test_a_folder_is_no_database(tmp_path):
    with pytest.raises(errors.StoreUnavailable):
        refuse_without_queue(tmp_path)


def test_a_path_with_marks_of_an_address_is_still_a_path(tmp_path):
    path = tmp_path / "odd?mode=memory#%41.db"
    with closing(sqlite3.connect(path)) as queue:
        queue.execute("CREATE TABLE jobs (id TEXT)")

    assert refuse_without_queue(path) is None
