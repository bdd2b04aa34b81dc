"""A retry policy that another program has stored, and that gigq cannot read."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from support.shell import Shell


def set_policy(shell: Shell, value: object) -> None:
    with closing(sqlite3.connect(shell.folder / "gigq.db")) as program, program:
        program.execute("UPDATE jobs SET retry_policy = ?", (value,))


@pytest.mark.parametrize("value", ['{"delays": ["soon"]}', "not JSON", b"\xff"])
def test_it_is_marked_in_the_status_of_the_job(shell: Shell, value: object) -> None:
    job_id = shell.submit()
    set_policy(shell, value)

    assert "Retry policy: unreadable: " in shell.out("status", job_id)
    assert shell.json("status", job_id)["retry_policy"].startswith("unreadable: ")


def test_one_that_can_be_read_is_not_marked(shell: Shell) -> None:
    job_id = shell.submit()
    set_policy(shell, '{"delays":[5]}')

    assert "Retry policy" not in shell.out("status", job_id)
    assert shell.json("status", job_id)["retry_policy"] == {"delays": [5]}
