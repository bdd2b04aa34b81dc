from __future__ import annotations

import sqlite3
from typing import Any

import pytest

from gigq.model.claim import Claim
from gigq.model.function_import import FunctionRef

OLD_ROW: dict[str, Any] = {
    "id": "j1",
    "execution_id": "e1",
    "name": "job",
    "function_module": "app",
    "function_name": "work",
    "params": '{"n": 1}',
    "dependencies": '["p1"]',
    "attempts": 2,
    "max_attempts": 3,
    "timeout": 300,
    "worker_id": "w1",
    "status": "running",
}


def test_a_row_of_the_first_columns_is_enough_for_a_claim() -> None:
    claim = Claim.from_row(OLD_ROW)

    assert (claim.job_id, claim.execution_id, claim.attempt) == ("j1", "e1", 2)
    assert claim.function == FunctionRef("app", "work", None)
    assert (claim.params, claim.dependencies) == ({"n": 1}, ("p1",))
    assert (claim.queue, claim.pass_parent_results) == ("default", None)
    assert claim.memory_limit is None


def test_decoded_columns_are_taken_as_they_are() -> None:
    claim = Claim.from_row({**OLD_ROW, "params": {"n": 1}, "dependencies": ["p1"]})

    assert claim == Claim.from_row(OLD_ROW)


def test_a_row_of_sqlite_makes_the_same_claim() -> None:
    connection = sqlite3.connect(":memory:")
    connection.row_factory = sqlite3.Row
    names = ", ".join(f":{name} AS {name}" for name in OLD_ROW)
    row = connection.execute(f"SELECT {names}", OLD_ROW).fetchone()
    connection.close()

    assert Claim.from_row(row) == Claim.from_row(OLD_ROW)


def test_empty_columns_have_plain_meanings() -> None:
    claim = Claim.from_row({**OLD_ROW, "params": None, "dependencies": None, "timeout": None})

    assert (claim.params, claim.dependencies, claim.timeout) == ({}, (), None)


def test_a_stored_switch_comes_back_as_a_truth_value() -> None:
    assert Claim.from_row({**OLD_ROW, "pass_parent_results": 0}).pass_parent_results is False


def test_a_limit_on_memory_comes_with_the_claim() -> None:
    assert Claim.from_row({**OLD_ROW, "memory_limit": 2**28}).memory_limit == 2**28


def test_a_row_without_its_execution_id_is_no_claim() -> None:
    with pytest.raises(KeyError, match="execution_id"):
        Claim.from_row({k: v for k, v in OLD_ROW.items() if k != "execution_id"})
